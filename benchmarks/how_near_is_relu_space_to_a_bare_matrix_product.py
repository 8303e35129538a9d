"""How near do statistics of ReLU activations come to the matrix product they need?

On one thread: mean, standard deviation and top 5 of the 2,048 reconstructed activations of 8-bit
frames of 1,024 (`core.statistics.relu_statistics`), beside one bare float32 product of the same
size. Prints the share of the bare product's rate; 1 would be the limit. CPU time, so that other
programs on the machine do not count.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from collections.abc import Callable

import numpy as np

from yt8m_spark.core.frame_pca import FramePca, ReluSpace
from yt8m_spark.core.statistics import STATISTICS, relu_statistics

N_VIDEOS, N_COMPONENTS, N_ACTIVATIONS = 24, 1024, 2048


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(120, 301, N_VIDEOS))])
    codes = rng.integers(0, 256, (offsets[-1], N_COMPONENTS), dtype=np.uint8)
    space = ReluSpace(make_pca(rng))
    values = codes[:2048].astype(np.float32) - 128
    product = np.empty((len(values), N_ACTIVATIONS), np.float32)
    contenders: dict[str, Callable[[], object]] = {
        "bare product": lambda: np.matmul(values, space.matrix, out=product),
        "mean, std, top5": lambda: relu_statistics(codes, offsets, STATISTICS, space),
        "mean": lambda: relu_statistics(codes, offsets, ["mean"], space),
    }
    n_frames = {name: len(codes) for name in contenders} | {"bare product": len(values)}
    seconds = best_of(contenders)
    rates = {
        name: 2 * n_frames[name] * N_COMPONENTS * N_ACTIVATIONS / seconds[name] / 1e9
        for name in contenders
    }
    print(f"{N_VIDEOS} videos, {len(codes)} frames, {N_COMPONENTS} to {N_ACTIVATIONS}")
    for name, rate in rates.items():
        print(f"  {name:16} {rate:6.1f} Gflop/s, {rate / rates['bare product']:4.0%}")


def make_pca(rng: np.random.Generator) -> FramePca:
    """A PCA with the shapes of the release's; its values do not change the time."""
    components = rng.normal(size=(N_COMPONENTS, N_ACTIVATIONS)).astype(np.float32)
    components /= np.linalg.norm(components, axis=1, keepdims=True)
    mean = rng.uniform(0.1, 1.1, N_ACTIVATIONS).astype(np.float32)
    scale = np.geomspace(3.8, 0.05, N_COMPONENTS).astype(np.float32)
    return FramePca(mean, components, scale)


def best_of(contenders: dict[str, Callable[[], object]], times: int = 4) -> dict[str, float]:
    """Seconds of the fastest of a few runs of each, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(times):
        for name, work in contenders.items():
            start = time.process_time()
            work()
            seconds[name].append(time.process_time() - start)
    return {name: min(found) for name, found in seconds.items()}


if __name__ == "__main__":
    main()
