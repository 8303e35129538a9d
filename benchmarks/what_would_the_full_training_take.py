"""What would it take to train 4,800 entities on the 5.8 million videos of the paper?

Measures on this machine, with every core (two at most) at work: the rate of
`core.training.BlockTrainer` at the widths that `core.block_width` gives, that of reading and
labelling shards in memory, and of laying shards out with Spark. From these it reckons hours and
bytes for logistic regression and a mixture of two experts, 1,024 and 7,168 features, five passes,
one machine of 16 cores and sixteen of them. That is arithmetic, not a measurement; the GPU is from
its data sheet. Prints the tables of docs/scale.md. CPU time, so that other programs count less.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from yt8m_spark.core.block_state import initial_state
from yt8m_spark.core.block_width import block_width, cache_share, state_bytes
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.training import BlockTrainer, label_matrix
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.session import get_spark
from yt8m_spark.spark.shard_files import write_shard
from yt8m_spark.spark.shards import ShardSet, write_shards

N_VIDEOS, N_ENTITIES, N_PASSES, BATCH, LABELS_A_VIDEO = 5_800_000, 4800, 5, 32, 3
CORES_A_MACHINE, MACHINES = 16, (1, 16)
SHARD_BYTES = 32 << 20  # of float32, at most; and 2,048 videos
BYTES_TO_READ = 96 << 20
TIMES = 5

# NVIDIA's data sheet of the H100 SXM, and what a call of torch takes the processor, a guess.
GPU_FLOPS, GPU_BYTES, GPU_CALLS, GPU_SECONDS_A_CALL = 67e12, 3.35e12, 30, 5e-6
# Numbers of 4 bytes read or written for each weight in a step: the product that reads it and the
# one that writes its gradient, 5 of l2, 13 of AdaGrad.
GPU_PASSES = 20


class Case(NamedTuple):
    """What is trained on how many cores."""

    loss: str
    n_features: int
    n_machines: int

    @property
    def n_rows(self) -> int:
        """R."""
        return loss_family(self.loss).n_rows

    @property
    def n_slots(self) -> int:
        """Cores."""
        return self.n_machines * CORES_A_MACHINE

    @property
    def width(self) -> int:
        """Entities of a block."""
        args = N_ENTITIES, self.n_features, self.n_rows, self.n_slots, cache_share()
        return block_width(*args)

    @property
    def n_blocks(self) -> int:
        """Tasks."""
        return ceil(N_ENTITIES / self.width)

    @property
    def n_waves(self) -> int:
        """Tasks one after the other on the busiest core."""
        return ceil(self.n_blocks / self.n_slots)

    @property
    def flop(self) -> float:
        """Of all products over one video for one block."""
        return 4.0 * self.n_features * self.width * self.n_rows

    @property
    def name(self) -> str:
        """For a table."""
        loss = "MoE-2" if self.loss == "moe" else "logistic"
        return f"{loss}, D = {self.n_features:,}"


class Rates(NamedTuple):
    """What one core does in a second while the others are at work too."""

    training: float  # flop
    reading: float  # videos
    n_bytes: float  # those videos as float32


LOSSES = ("logistic", "moe")
WIDTHS_OF_FEATURES = (1024, 7168)
CASES = [Case(x, d, m) for d in WIDTHS_OF_FEATURES for x in LOSSES for m in MACHINES]


def main() -> None:
    """Measure and print."""
    n_cores = min(len(os.sched_getaffinity(0)), 2)
    with multiprocessing.get_context("spawn").Pool(n_cores) as pool:
        # As many times the same as there are cores, at once; the slowest counts.
        found = [pool.map(measure, [case] * n_cores, chunksize=1) for case in CASES]
    rates = {case: min(of_cores) for case, of_cores in zip(CASES, found, strict=True)}
    tell_rates(rates)
    tell_times(rates)
    tell_bytes(rates)
    tell_memory(rates)
    tell_gpu(rates)
    tell_shards(n_cores)


def measure(case: Case) -> Rates:
    """Rates of this process; it is one of several."""
    rng = np.random.default_rng(0)
    n_videos = min(2048, SHARD_BYTES // (4 * case.n_features))
    entities = np.arange(case.width)
    with tempfile.TemporaryDirectory() as folder:
        shards = make_shards(folder, rng, n_videos, case.n_features)
        rows = rng.permutation(n_videos)
        chunk = shards.read(0, rows)
        labels = label_matrix(chunk, entities)
        options = TrainingOptions(n_epochs=N_PASSES, batch_size=BATCH)
        family = loss_family(case.loss)
        prior = np.full(case.width, LABELS_A_VIDEO / N_ENTITIES)
        state = initial_state(family, entities, case.n_features, options, prior, N_VIDEOS)
        trainer = BlockTrainer(state, family, options, N_VIDEOS)
        train = fastest(lambda: trainer.feed(chunk.features, labels))
        read = fastest(lambda: read_all(shards, rows, entities)) / shards.n_shards
    n_bytes = 4 * n_videos * case.n_features
    return Rates(case.flop * n_videos / train, n_videos / read, n_bytes / read)


def make_shards(folder: str, rng: np.random.Generator, n_videos: int, width: int) -> ShardSet:
    """Shards of random videos, more of them than a processor's cache holds."""
    x = rng.normal(size=(n_videos, width)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    labels = rng.integers(0, N_ENTITIES, n_videos * LABELS_A_VIDEO)
    counts = np.full(n_videos, LABELS_A_VIDEO)
    n_shards = ceil(BYTES_TO_READ / x.nbytes)
    sizes = tuple(write_shard(folder, n, x, counts, labels) for n in range(n_shards))
    return ShardSet(folder, (n_videos,) * n_shards, width, "float32", sizes, "")


def read_all(shards: ShardSet, rows: np.ndarray, entities: np.ndarray) -> None:
    """What the thread of a task does that reads ahead."""
    for number in range(shards.n_shards):
        label_matrix(shards.read(number, rows), entities)


def fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of a few runs."""
    seconds = []
    for _ in range(TIMES):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def seconds_of(case: Case, rates: Rates) -> tuple[float, float]:
    """Seconds of one block, to train and to read."""
    n_videos = N_PASSES * N_VIDEOS
    return n_videos * case.flop / rates.training, n_videos / rates.reading


def tell_rates(rates: dict[Case, Rates]) -> None:
    """What was measured."""
    print(
        "\n| classifiers | block | training, Gflop/s a core | reading and labels, MB/s a core |\n"
        "|---|---|---|---|"
    )
    for case, rate in rates.items():
        told = f"{rate.training / 1e9:.1f} | {rate.n_bytes / 1e6:,.0f}"
        print(f"| {case.name} | {case.width} entities | {told} |")


def tell_times(rates: dict[Case, Rates]) -> None:
    """Hours on cores."""
    print(
        "\n| classifiers | cores | blocks | waves | core-hours to train | to read | idle "
        "| hours |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for case, rate in rates.items():
        train, read = seconds_of(case, rate)
        n_full = N_ENTITIES / case.width  # the last block may be narrower
        hours = case.n_waves * (train + read) / 3600
        idle = hours * case.n_slots - n_full * (train + read) / 3600
        parts = f"{n_full * train / 3600:.1f} | {n_full * read / 3600:.1f} | {idle:.1f}"
        blocks = f"{case.n_blocks} of {case.width} | {case.n_waves}"
        print(f"| {case.name} | {case.n_slots} | {blocks} | {parts} | {hours:.2f} |")


def tell_bytes(rates: dict[Case, Rates]) -> None:
    """What is read."""
    print(
        "\n| classifiers | machines | shards, GB | all blocks and passes, TB "
        "| GB/s a machine | as uint8 | through a cache, TB |\n|---|---|---|---|---|---|---|"
    )
    for case, rate in rates.items():
        size = 4 * N_VIDEOS * case.n_features
        n_bytes = size * case.n_blocks * N_PASSES
        seconds = case.n_waves * sum(seconds_of(case, rate))
        speed = n_bytes / seconds / case.n_machines / 1e9
        print(
            f"| {case.name} | {case.n_machines} | {size / 1e9:.0f} | {n_bytes / 1e12:.1f} "
            f"| {speed:.1f} | {speed / 4:.1f} "
            f"| {size * case.n_machines / 1e12:.2f} |"
        )


def tell_memory(rates: dict[Case, Rates]) -> None:
    """What tasks hold, and lose."""
    print(
        "\n| classifiers | cores | state of a task, MB | with copies, MB | videos, MB "
        "| a shard takes, s | model, MB |\n|---|---|---|---|---|---|---|"
    )
    for case, rate in rates.items():
        n_videos = min(2048, SHARD_BYTES // (4 * case.n_features))
        both = state_bytes(case.n_features, case.n_rows, case.width) / 1e6
        # Three shards at a time, one as it is stored, and their labels.
        videos = 4e-6 * n_videos * (4 * case.n_features + 3 * case.width)
        shard = n_videos * (case.flop / rate.training + 1 / rate.reading)
        model = 8e-6 * N_ENTITIES * case.n_rows * (case.n_features + 1)
        print(
            f"| {case.name} | {case.n_slots} | {both / 2:.1f} | {both:.1f} | {videos:.0f} "
            f"| {shard:.2f} | {model:,.0f} |"
        )


def tell_gpu(rates: dict[Case, Rates]) -> None:
    """Hours on one GPU, all entities in one block: an estimate."""
    print(
        "\n| classifiers | state, GB | products, µs a step | memory, µs | calls, µs "
        "| reading, µs | hours, at least |\n|---|---|---|---|---|---|---|"
    )
    n_steps = N_PASSES * N_VIDEOS / BATCH
    for case, rate in rates.items():
        if case.n_machines > 1:
            continue
        n_weights = float(N_ENTITIES * case.n_rows * case.n_features)
        products = 4 * BATCH * n_weights / GPU_FLOPS
        memory = 4 * GPU_PASSES * n_weights / GPU_BYTES
        calls, reading = GPU_CALLS * GPU_SECONDS_A_CALL, BATCH / rate.reading
        longest = max(products + memory, calls, reading)
        parts = (f"{1e6 * part:,.0f}" for part in (products, memory, calls, reading))
        hours = n_steps * longest / 3600
        print(f"| {case.name} | {20e-9 * n_weights:.1f} | {' | '.join(parts)} | {hours:.2f} |")


def tell_shards(n_cores: int) -> None:
    """Measure what Spark takes to lay out shards, and reckon it for all videos."""
    n_videos, n_features = 50_000, 1024
    with tempfile.TemporaryDirectory() as folder:
        x = np.random.default_rng(0).normal(size=n_videos * n_features).astype(np.float32)
        ids = [f"v{i:06d}" for i in range(n_videos)]
        lists = [
            pa.ListArray.from_arrays(np.arange(n_videos + 1, dtype=np.int32) * n, values)
            for n, values in ((1, np.arange(n_videos, dtype=np.int32) % 99), (n_features, x))
        ]
        table = pa.table({"video_id": ids, "labels": lists[0], "features": lists[1]})
        pq.write_table(table, f"{folder}/features.parquet", row_group_size=4096)
        spark = get_spark("benchmark")
        features = spark.read.parquet(f"{folder}/features.parquet")
        seconds = []
        for i in range(3):
            start = time.perf_counter()
            write_shards(features, f"{folder}/shards{i}")
            seconds.append(time.perf_counter() - start)
        spark.stop()
    n_bytes = 4 * n_videos * n_features
    rate = n_bytes / min(seconds) / n_cores
    print(f"\nlaying out shards: {rate / 1e6:.0f} MB/s a core (first time {seconds[0]:.1f} s)")
    for width in WIDTHS_OF_FEATURES:
        size = 4 * N_VIDEOS * width
        shards = ceil(N_VIDEOS / min(2048, SHARD_BYTES // (4 * width)))
        hours = size / rate / 3600
        print(f"D = {width:,}: {size / 1e9:.0f} GB, {shards:,} shards, {hours:.1f} core-hours")


if __name__ == "__main__":
    main()
