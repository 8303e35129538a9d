"""How near to the speed of memory does a mapper read its training shards?

Contenders in one run on one thread, on files that the system holds in memory: `ShardSet.read` of
permuted rows for each stored type, what NumPy offers for float32 (a file mapped into memory, or
read whole, then indexed), and the same rows of float32 that are in memory already, copied in the
same permuted order. Prints float32 delivered a second, and its share of that copy's.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import tempfile
import time
from collections.abc import Callable

import numpy as np

from yt8m_spark.core.codebooks import Codebook
from yt8m_spark.spark.codebooks import save_codebooks
from yt8m_spark.spark.shard_files import feature_file, write_shard
from yt8m_spark.spark.shards import ShardSet

N_SHARDS, N_VIDEOS, N_FEATURES, LABELS_A_VIDEO = 16, 2048, 1152, 3
TIMES = 7


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        kinds = ("float32", "float16", "uint8 even", "uint8 uneven")
        sets = {kind: make_shards(f"{folder}/{kind}", kind) for kind in kinds}
        source = np.ones((N_SHARDS, N_VIDEOS, N_FEATURES), np.float32)
        rows = np.random.default_rng(0).permutation(N_VIDEOS)
        copy = measure(lambda number: source[number][rows])
        print(f"{N_SHARDS} shards of {N_VIDEOS} x {N_FEATURES}; MB of float32 a second")
        tell("rows in memory", copy, copy)
        tell("memory in order", measure(lambda number: source[number].copy()), copy)
        path = f"{sets['float32'].folder}/"
        tell("mapped, indexed", measure(lambda n: np.load(path + name(n), "r")[rows]), copy)
        tell("np.load, indexed", measure(lambda n: np.load(path + name(n))[rows]), copy)
        for kind, shards in sets.items():
            tell(f"read {kind}", measure(lambda n, s=shards: s.read(n, rows)), copy)
        tell("read float32, as stored", measure(sets["float32"].read), copy)


def make_shards(folder: str, kind: str) -> ShardSet:
    """Random shards of ``kind``."""
    os.mkdir(folder)
    rng, dtype = np.random.default_rng(0), kind.split()[0]
    if dtype == "uint8":
        levels = np.sort(rng.normal(size=(N_FEATURES, 256)), axis=1)
        if kind == "uint8 even":
            levels = np.linspace(levels[:, 0], levels[:, -1], 256, axis=1)
        thresholds = (levels[:, 1:] + levels[:, :-1]) / 2
        book = Codebook(levels.astype(np.float32), thresholds, levels[:, [0, -1]].astype("f4"))
        save_codebooks(folder, {"features": book})
    counts = np.full(N_VIDEOS, LABELS_A_VIDEO)
    sizes = []
    for number in range(N_SHARDS):
        values = rng.integers(0, 256, (N_VIDEOS, N_FEATURES)).astype(dtype)
        sizes.append(write_shard(folder, number, values, counts, rng.integers(0, 99, counts.sum())))
    return ShardSet(folder, (N_VIDEOS,) * N_SHARDS, N_FEATURES, dtype, tuple(sizes), kind)


def name(number: int) -> str:
    """File of the features of a shard."""
    return feature_file(number)


def measure(read: Callable[[int], object]) -> float:
    """MB of float32 a second of the fastest of a few passes over all shards."""
    seconds = []
    for _ in range(TIMES):
        start = time.perf_counter()
        for number in range(N_SHARDS):
            read(number)
        seconds.append(time.perf_counter() - start)
    return 4e-6 * N_SHARDS * N_VIDEOS * N_FEATURES / min(seconds)


def tell(what: str, speed: float, copy: float) -> None:
    """Print one line."""
    print(f"{what:24} {speed:6.0f} MB/s, {speed / copy:4.0%} of rows in memory")


if __name__ == "__main__":
    main()
