"""What does a search over four settings cost beside four trainings one after the other?

Contenders in one run on one thread and one process, without Spark: `search_blocks` on one block
with four learning rates, which reads each shard once a pass for all of them and judges them on a
validation split of a quarter of the videos, and `train_blocks` four times, which judges nothing.
Prints seconds of the clock and of the processor, and the ratios; 1 is a search that is free but
for its trainings, and below 1 it has saved reading.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from yt8m_spark.artifacts import save_json
from yt8m_spark.core.search import Setting
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.spark import shards as shard_module
from yt8m_spark.spark.mapper import train_blocks
from yt8m_spark.spark.plan import Plan, write_plan
from yt8m_spark.spark.search_mapper import search_blocks
from yt8m_spark.spark.search_plan import SearchPlan, open_search_plan
from yt8m_spark.spark.shard_files import write_shard

N_SHARDS, N_VALIDATION, N_VIDEOS, N_FEATURES, LABELS_A_VIDEO = 4, 1, 2048, 1152, 3
SETTINGS = tuple(Setting(rate, 1e-5, 32, 2) for rate in (0.1, 0.3, 1.0, 3.0))
OPTIONS = TrainingOptions(n_epochs=3)
BLOCK = [pa.record_batch({"id": [0]})]
TIMES = 3


def main() -> None:
    """Measure and print."""
    print(f"{N_SHARDS * N_VIDEOS} videos of {N_FEATURES} features, {OPTIONS.n_epochs} passes")
    with tempfile.TemporaryDirectory() as folder:
        validation = make_shards(f"{folder}/validation", N_VALIDATION, "float32")
        for dtype in ("float32", "float16"):
            shards = make_shards(f"{folder}/{dtype}", N_SHARDS, dtype)
            for loss, width in (("logistic", 16), ("logistic", 256), ("moe", 64)):
                compare(shards, validation, loss, width)


def compare(shards: str, validation: str, loss: str, width: int) -> None:
    """Measure one shape of block and print a line."""
    entities = np.arange(width)
    plan = Plan(
        loss,
        2,
        OPTIONS,
        entities,
        np.ones(width, int),
        width,
        shards,
        shards,
        checkpoint_seconds=1e9,
    )
    runs = [
        fastest(lambda work: train_all(plan, work)),
        fastest(lambda work: search_all(plan, validation, work)),
    ]
    (clock, cpu), (search_clock, search_cpu) = runs
    print(
        f"{loss:8} {width:3} entities, {Path(shards).name}: four trainings {clock:6.2f} s "
        f"(cpu {cpu:6.2f}), search {search_clock:6.2f} s (cpu {search_cpu:6.2f}), "
        f"ratio {search_clock / clock:.2f} (cpu {search_cpu / cpu:.2f})"
    )


def train_all(plan: Plan, work: str) -> None:
    """One training a setting."""
    for number, setting in enumerate(SETTINGS):
        folder = f"{work}/{number}"
        write_plan(folder, plan._replace(options=setting.options(plan.options)))
        os.mkdir(f"{folder}/heartbeats")
        list(train_blocks(BLOCK, folder))


def search_all(plan: Plan, validation: str, work: str) -> None:
    """All settings at once, and judged."""
    open_search_plan(work, plan, SearchPlan(SETTINGS, validation, validation))
    os.mkdir(f"{work}/heartbeats")
    list(search_blocks(BLOCK, work))


def make_shards(folder: str, n_shards: int, dtype: str) -> str:
    """Random videos of length 1; the folder."""
    os.mkdir(folder)
    rng = np.random.default_rng(n_shards)
    counts = np.full(N_VIDEOS, LABELS_A_VIDEO)
    file_bytes = []
    for number in range(n_shards):
        features = rng.normal(size=(N_VIDEOS, N_FEATURES))
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        labels = rng.integers(0, 256, counts.sum())
        file_bytes.append(write_shard(folder, number, features.astype(dtype), counts, labels))
    described = {
        "format": shard_module._FORMAT,
        "dtype": dtype,
        "n_features": N_FEATURES,
        "sizes": [N_VIDEOS] * n_shards,
        "file_bytes": [list(pair) for pair in file_bytes],
        "digest": dtype,
    }
    save_json(Path(folder) / "shards.json", described)
    return folder


def fastest(work: Callable[[str], None]) -> tuple[float, float]:
    """Seconds of the clock and of the processor, the least of a few runs."""
    seconds = []
    for _ in range(TIMES):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter(), time.process_time()
            work(folder)
            seconds.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    clock, cpu = zip(*seconds, strict=True)
    return min(clock), min(cpu)


if __name__ == "__main__":
    main()
