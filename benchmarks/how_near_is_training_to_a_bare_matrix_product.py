"""How much of the time of a block's training is its two matrix products?

Contenders in one run on one thread: the mini-batch loop of `core.training`, and the same number of
bare float32 products of the same shapes. Prints a ratio for each loss; 1 would be the limit.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from collections.abc import Callable

import numpy as np

from yt8m_spark.core.losses import LOSSES, loss_family
from yt8m_spark.core.training import (
    Chunk,
    TrainingOptions,
    initial_state,
    mini_batches,
    train_epoch,
)

N_VIDEOS, N_FEATURES, N_ENTITIES, LABELS_A_VIDEO = 4096, 1152, 256, 3


def main() -> None:
    """Measure and print."""
    chunk, entities = make_chunk(), np.arange(N_ENTITIES)
    options = TrainingOptions()
    print(f"{N_VIDEOS} videos, {N_FEATURES} features, {N_ENTITIES} entities, batches of 32")
    for name in LOSSES:
        family = loss_family(name)
        state = initial_state(family, entities, N_FEATURES, options)

        def train(family=family, state=state) -> None:
            train_epoch(state, mini_batches([(0, chunk)], entities, options, 0), family, options)

        trained = best_of(train)
        bare = best_of(lambda family=family: products(family.n_rows * N_ENTITIES))
        gflop = 4 * N_VIDEOS * (N_FEATURES + 1) * family.n_rows * N_ENTITIES / 1e9
        print(
            f"{name:9} training {trained:6.3f} s ({gflop / trained:5.1f} Gflop/s), "
            f"products {bare:6.3f} s, ratio {trained / bare:.2f}"
        )


def make_chunk() -> Chunk:
    """Random videos of length 1."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N_VIDEOS, N_FEATURES)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    offsets = np.arange(N_VIDEOS + 1) * LABELS_A_VIDEO
    return Chunk(features, offsets, rng.integers(0, N_ENTITIES, offsets[-1]))


def products(n_columns: int) -> None:
    """The two products of every mini-batch of 32, nothing else."""
    x = np.ones((32, N_FEATURES + 1), np.float32)
    weights = np.ones((n_columns, N_FEATURES + 1), np.float32)
    gradient = np.empty_like(weights)
    for _ in range(N_VIDEOS // 32):
        z = x @ weights.T
        np.matmul(z.T, x, out=gradient)


def best_of(work: Callable[[], None], times: int = 3) -> float:
    """Seconds of the fastest of a few runs."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
