"""Does a mapper run on shards of four times the memory that it may have?

One process with a limit on its memory (RLIMIT_DATA: what it allocates, not what the system caches
of files) goes twice over shards of four times that, read ahead in a thread, and does the two
products of each mini-batch of a block of entities. The same process that keeps the shards it has
read must fail, or the limit would be none. Prints the peak of each.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from yt8m_spark.artifacts import save_json
from yt8m_spark.spark.shard_files import write_shard
from yt8m_spark.spark.shards import open_shards, read_ahead

LIMIT = 256 << 20
N_VIDEOS, N_FEATURES, N_ENTITIES, BATCH = 2048, 1024, 64, 512  # of a shard, of a block
N_SHARDS = 4 * LIMIT // (4 * N_VIDEOS * N_FEATURES)
PASSES = 2


def main() -> None:
    """Write shards, run both in processes of their own and print."""
    with tempfile.TemporaryDirectory() as folder:
        write_set(folder)
        print(f"{N_SHARDS} shards, {N_SHARDS * N_VIDEOS * N_FEATURES * 4 >> 20} MiB of features")
        for what in ("streams", "keeps"):
            command = [sys.executable, __file__, folder, what]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            print(f"limit {LIMIT >> 20} MiB, {what}: {last_line(done.stdout + done.stderr)}")


def write_set(folder: str) -> None:
    """Write random shards."""
    rng = np.random.default_rng(0)
    counts, values = np.full(N_VIDEOS, 3), rng.integers(0, N_ENTITIES, 3 * N_VIDEOS)
    sizes = []
    for number in range(N_SHARDS):
        features = rng.random((N_VIDEOS, N_FEATURES), np.float32)
        sizes.append(write_shard(folder, number, features, counts, values))
    described = {"format": 2, "dtype": "float32", "n_features": N_FEATURES, "digest": "random"}
    described |= {"sizes": [N_VIDEOS] * N_SHARDS, "file_bytes": sizes}
    save_json(Path(folder) / "shards.json", described)


def train(folder: str, keep: bool) -> None:
    """Go over the shards under the limit, print passes, time and peak."""
    shards, kept = open_shards(folder), []
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    weights = np.zeros((N_ENTITIES, N_FEATURES), np.float32)
    start = time.perf_counter()
    for number in range(PASSES):
        order = np.random.default_rng(number).permutation(N_SHARDS)
        reads = (shards.read(n, np.random.default_rng(n).permutation(N_VIDEOS)) for n in order)
        for chunk in read_ahead(reads):
            for first in range(0, N_VIDEOS, BATCH):
                x = chunk.features[first : first + BATCH]
                weights += (x @ weights.T).T @ x
            kept += [chunk] if keep else []
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    seconds = time.perf_counter() - start
    print(f"{PASSES} passes in {seconds:.1f} s, at most {peak} MiB resident")


def last_line(text: str) -> str:
    """What a process told last."""
    return text.strip().rpartition("\n")[2]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(sys.argv[1], sys.argv[2] == "keeps")
    else:
        main()
