"""How near is the moments pass to one bare symmetric rank update of BLAS?

The same 20,000 rows of 1,024 float32 in memory, one thread: `core.moments.MomentSums` (chunks
centred, multiplied, summed in float64) against one ssyrk over all of them, not centred, summed in
float32; and against what the pass was before, float64 and all of it. CPU time, in turns, so that
other programs on the machine do not count. Prints times and rates; the aim is 60 % of ssyrk's.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from collections.abc import Callable

import numpy as np
from scipy.linalg.blas import ssyrk

from yt8m_spark.core.moments import moments_of

N_ROWS, N_FEATURES = 20_000, 1024
RUNS = 7


def main() -> None:
    """Measure and print."""
    rows = np.random.default_rng(0).normal(1, 1, (N_ROWS, N_FEATURES)).astype(np.float32)
    product = np.zeros((N_FEATURES, N_FEATURES), np.float32, order="F")
    contenders: dict[str, Callable[[], object]] = {
        "bare ssyrk": lambda: ssyrk(1.0, rows.T, beta=0.0, c=product, overwrite_c=1, lower=1),
        "moments": lambda: moments_of(rows),
        "in float64": lambda: in_float64(rows),
    }
    seconds = best_in_turns(contenders)
    gflop = N_ROWS * N_FEATURES**2 / 1e9
    print(f"{N_ROWS} rows of {N_FEATURES} float32, one thread, CPU seconds")
    for name, taken in seconds.items():
        share = seconds["bare ssyrk"] / taken
        print(f"  {name:11} {taken:6.3f} s, {gflop / taken:6.1f} Gflop/s, {share:6.1%} of ssyrk")
    exact = in_float64(rows)
    deviations = np.sqrt(np.diag(exact))
    errors = np.abs(moments_of(rows).scatter - exact) / np.outer(deviations, deviations)
    print(f"  largest error of an entry: {errors.max():.1e} of the two standard deviations")


def in_float64(rows: np.ndarray) -> np.ndarray:
    """Scatter in float64, by one product."""
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    return centred.T @ centred


def best_in_turns(contenders: dict[str, Callable[[], object]]) -> dict[str, float]:
    """CPU seconds of the fastest of a few runs of each."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(RUNS):
        for name, run in contenders.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    return {name: min(taken) for name, taken in seconds.items()}


if __name__ == "__main__":
    main()
