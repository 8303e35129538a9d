"""How near does the training of a block come to a bare matrix product, and where does its time go?

Contenders in turns on one thread: `core.training.BlockTrainer` for each loss, batch size and width
of block, and one float32 product of 2,048 square, the machine's best. Prints the share of the
product's rate that 4 D E R flops an example are done at; 1 would be the limit. Beside it, how much
of a step the two products take that it cannot do without, and how much AdaGrad, each run alone on
the same shapes. CPU time, so that other programs on the machine count less.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from yt8m_spark.core.adagrad import adagrad_update
from yt8m_spark.core.block_state import initial_state
from yt8m_spark.core.block_width import block_width, cache_share
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.training import BlockTrainer
from yt8m_spark.core.training_options import TrainingOptions

N_FEATURES, N_ENTITIES, N_VIDEOS, LABELS_A_VIDEO = 1024, 256, 4096, 3
# Averaging remembers as many steps as in five passes over 100,000 videos.
N_VIDEOS_OF_A_PASS = 250_000
TIMES = 5


class Case(NamedTuple):
    """What is trained, and the share of the bare product that is asked of it."""

    loss: str
    batch_size: int
    n_entities: int
    learning_rate: float
    l2: float
    asked: float | None

    @property
    def n_rows(self) -> int:
        """R."""
        return loss_family(self.loss).n_rows

    @property
    def options(self) -> TrainingOptions:
        """Two passes, the second of them averaged; all else as by default."""
        rate, l2 = self.learning_rate, self.l2
        return TrainingOptions(n_epochs=2, batch_size=self.batch_size, learning_rate=rate, l2=l2)

    @property
    def gflop(self) -> float:
        """Of the two products over all videos that are fed."""
        return 4 * 2 * N_VIDEOS * N_FEATURES * self.n_entities * self.n_rows / 1e9


def main() -> None:
    """Measure and print."""
    cases = list(make_cases())
    x = make_videos(np.random.default_rng(0))
    contenders: dict[object, Callable[[], object]] = {"peak": peak_product()}
    for case in cases:
        y = make_labels(case.n_entities)
        contenders[case] = partial(train, case, x, y)
        contenders[case, "products"] = partial(products, case, x)
        contenders[case, "adagrad"] = partial(adagrad, case)
    seconds = best_of(contenders)
    peak = 2 * 2048**3 / 1e9 / seconds["peak"]
    print(f"one product, 2,048 square: {peak:.1f} Gflop/s. D = {N_FEATURES}, one thread")
    print(
        "loss       batch  block  rate     l2  Gflop/s  share  asked | products  AdaGrad  the rest"
    )
    for case in cases:
        rate = case.gflop / seconds[case]
        parts = [seconds[case, part] / seconds[case] for part in ("products", "adagrad")]
        asked = "" if case.asked is None else f"{case.asked:.0%}"
        print(
            f"{case.loss:9} {case.batch_size:6} {case.n_entities:6} "
            f"{case.learning_rate:5} {case.l2:6.0e} {rate:8.1f} "
            f"{rate / peak:6.0%} {asked:>6} | {parts[0]:8.0%} {parts[1]:8.0%} {1 - sum(parts):9.0%}"
        )


def make_cases() -> Iterator[Case]:
    """The default rate, the paper's, and l2; a mixture at the width its blocks have as well."""
    narrow = block_width(4800, N_FEATURES, 4, os.cpu_count() or 1, cache_share())
    for rate, l2 in ((TrainingOptions().learning_rate, 0.0), (1.0, 0.0), (1.0, 1e-5)):
        yield Case("logistic", 32, N_ENTITIES, rate, l2, 0.5)
        yield Case("hinge", 32, N_ENTITIES, rate, l2, None)
        yield Case("logistic", 512, N_ENTITIES, rate, l2, 0.9)
        yield Case("moe", 32, narrow, rate, l2, 0.45)
        yield Case("moe", 32, N_ENTITIES, rate, l2, 0.45)


def make_videos(rng: np.random.Generator) -> np.ndarray:
    """Features (V, D) of length 1."""
    x = rng.normal(size=(N_VIDEOS, N_FEATURES)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def make_labels(n_entities: int) -> np.ndarray:
    """Labels (V, E), some 3 a video."""
    rng = np.random.default_rng(1)
    return (rng.random((N_VIDEOS, n_entities)) < LABELS_A_VIDEO / n_entities).astype(np.float32)


def train(case: Case, x: np.ndarray, y: np.ndarray) -> None:
    """As many steps before averaging has begun as after."""
    family = loss_family(case.loss)
    prior = np.full(case.n_entities, LABELS_A_VIDEO / case.n_entities)
    entities = np.arange(case.n_entities)
    state = initial_state(family, entities, N_FEATURES, case.options, prior, N_VIDEOS_OF_A_PASS)
    trainer = BlockTrainer(state, family, case.options, N_VIDEOS_OF_A_PASS)
    trainer.feed(x, y)
    trainer.epoch = 1
    trainer.feed(x, y)


def products(case: Case, x: np.ndarray) -> None:
    """The two products of every mini-batch; the gradient's as BLAS likes it best, in one piece."""
    n_columns = case.n_entities * case.n_rows
    weights = np.ones((N_FEATURES, n_columns), np.float32)
    gradient = np.empty_like(weights)
    for _ in range(2):
        for start in range(0, N_VIDEOS, case.batch_size):
            batch = x[start : start + case.batch_size]
            np.matmul(batch.T, batch @ weights, out=gradient)


def adagrad(case: Case) -> None:
    """AdaGrad of every mini-batch on gradients that are there, 256 KiB at a time."""
    n_columns = case.n_entities * case.n_rows
    strip = max((1 << 18) // (4 * n_columns), 1)
    shape = (-(-N_FEATURES // strip), strip, n_columns)
    weights, accumulator = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    gradient, scratch = np.full(shape[1:], 1e-3, np.float32), np.empty(shape[1:], np.float32)
    for _ in range(2 * N_VIDEOS // case.batch_size):
        for w, sums in zip(weights, accumulator, strict=True):
            adagrad_update(w, sums, gradient, 1.0, scratch)


def peak_product() -> Callable[[], object]:
    """One product of 2,048 square."""
    a, b = (np.ones((2048, 2048), np.float32) for _ in range(2))
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out)


def best_of(contenders: dict[object, Callable[[], object]]) -> dict[object, float]:
    """Seconds of the fastest of a few rounds; a round runs each once, so all see the same load."""
    seconds = dict.fromkeys(contenders, np.inf)
    for _ in range(TIMES):
        for name, work in contenders.items():
            start = time.process_time()
            work()
            seconds[name] = min(seconds[name], time.process_time() - start)
    return seconds


if __name__ == "__main__":
    main()
