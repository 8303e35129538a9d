"""How near does the whole training job on two cores come to two bare kernels?

The job is `prepare_shards` and `train_entities` on local[2], from a features table in Parquet to a
model on storage, all as by default: five passes, blocks as wide as `core.block_width` makes them.
The kernels are two processes that train half of those blocks each by `core.training.BlockTrainer`,
on features and labels that are in memory when the clock starts: no Spark, no disk, no shuffling.
In turns; prints the parts of the job and the share of the kernels' speed. Wall time, on the first
two cores that this process may use; the session is up before the clock starts.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import multiprocessing
import shutil
import sys
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from yt8m_spark.core.block_state import initial_state
from yt8m_spark.core.block_width import block_width, cache_share
from yt8m_spark.core.chunks import Chunk
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.training import BlockTrainer, label_matrix
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.session import WORKER_MEMORY, get_spark
from yt8m_spark.spark.training import prepare_shards, train_entities

N_VIDEOS, N_FEATURES, N_ENTITIES, LABELS_A_VIDEO, N_CORES = 100_000, 1024, 1024, 3, 2
VIDEOS_A_FEED = 2048  # as many as a shard has
RUNS = 3


def main() -> None:
    """Measure and print."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:N_CORES])
    x, labels = make_videos()
    size = block_width(N_ENTITIES, N_FEATURES, 1, N_CORES, cache_share())
    print(f"{N_VIDEOS} videos, D = {N_FEATURES}, {N_ENTITIES} entities, blocks of {size}")
    with tempfile.TemporaryDirectory() as folder:
        write_table(f"{folder}/features", x, labels)
        spark = get_spark("benchmark")
        spark.range(8).mapInArrow(lambda batches: batches, "id long").count()  # workers are up
        jobs, kernels = [], []
        for _ in range(RUNS):
            kernels.append(time_kernels(x, labels, size))
            jobs.append(time_job(spark, f"{folder}/features", Path(folder) / "work"))
        spark.stop()
    kernel, (shards, training) = min(kernels), min(jobs, key=sum)
    gflop = 4e-9 * N_VIDEOS * N_FEATURES * N_ENTITIES * TrainingOptions().n_epochs
    print(f"two kernels: {kernel:6.1f} s, {gflop / kernel / N_CORES:.1f} Gflop/s a core")
    print(f"shards:      {shards:6.1f} s")
    print(f"training:    {training:6.1f} s, {kernel / training:.0%} of the kernels' speed")
    job = shards + training
    print(f"the job:     {job:6.1f} s, {kernel / job:.0%} of the kernels' speed")
    print(
        "all runs:", [round(k, 1) for k in kernels], [(round(a, 1), round(b, 1)) for a, b in jobs]
    )


def make_videos() -> tuple[np.ndarray, np.ndarray]:
    """Features (V, D) of length 1 and labels (V, 3) that depend on them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N_VIDEOS, N_FEATURES)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    directions = rng.normal(size=(N_FEATURES, N_ENTITIES)).astype(np.float32)
    labels = [
        np.argpartition(x[start : start + 4096] @ -directions, LABELS_A_VIDEO)[:, :LABELS_A_VIDEO]
        for start in range(0, N_VIDEOS, 4096)
    ]
    return x, np.concatenate(labels).astype(np.int32)


def write_table(folder: str, x: np.ndarray, labels: np.ndarray) -> None:
    """A features table in 8 files."""
    os.mkdir(folder)
    for i, rows in enumerate(np.array_split(np.arange(N_VIDEOS), 8)):
        widths = (LABELS_A_VIDEO, N_FEATURES)
        lists = [
            pa.ListArray.from_arrays(np.arange(len(rows) + 1, dtype=np.int32) * n, a[rows].ravel())
            for n, a in zip(widths, (labels, x), strict=True)
        ]
        ids = [f"v{row:06d}" for row in rows]
        table = pa.table({"video_id": ids, "labels": lists[0], "features": lists[1]})
        pq.write_table(table, f"{folder}/{i}.parquet")


def time_job(spark: SparkSession, table: str, work: Path) -> tuple[float, float]:
    """Seconds to lay out the shards and to train from them."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    start = time.perf_counter()
    data = prepare_shards(spark.read.parquet(table), str(work / "data"))
    middle = time.perf_counter()
    options = TrainingOptions()
    train_entities(spark, data, str(work), str(work / "model"), loss="logistic", options=options)
    return middle - start, time.perf_counter() - middle


def time_kernels(x: np.ndarray, labels: np.ndarray, size: int) -> float:
    """Seconds from when both processes have their labels in memory to the end of the slower."""
    firsts = list(range(0, N_ENTITIES, size))
    context = multiprocessing.get_context("fork")  # shares the features
    ready = context.Barrier(N_CORES + 1)
    processes = [
        context.Process(target=run_kernel, args=(x, labels, firsts[core::N_CORES], size, ready))
        for core in range(N_CORES)
    ]
    for process in processes:
        process.start()
    ready.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
    return time.perf_counter() - start


def run_kernel(
    x: np.ndarray, labels: np.ndarray, firsts: list[int], size: int, ready: Barrier
) -> None:
    """Train the blocks that begin at ``firsts``."""
    family, options = loss_family("logistic"), TrainingOptions()
    blocks = [np.arange(first, min(first + size, N_ENTITIES)) for first in firsts]
    offsets = np.arange(len(labels) + 1) * LABELS_A_VIDEO
    chunk = Chunk(x, offsets, labels.ravel())
    truths = [label_matrix(chunk, block) for block in blocks]
    ready.wait()
    for block, y in zip(blocks, truths, strict=True):
        prior = np.full(len(block), LABELS_A_VIDEO / N_ENTITIES)
        state = initial_state(family, block, N_FEATURES, options, prior, len(x))
        trainer = BlockTrainer(state, family, options, len(x))
        while not trainer.done:
            for start in range(0, len(x), VIDEOS_A_FEED):
                rows = slice(start, start + VIDEOS_A_FEED)
                trainer.feed(x[rows], y[rows])
            trainer.end_pass()


if __name__ == "__main__":
    if not WORKER_MEMORY.keys() <= os.environ.keys():  # read when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **WORKER_MEMORY})  # noqa: S606
    main()
