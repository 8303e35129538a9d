"""How near is the training of a network, with reading, to its bare steps, and do two ranks pay?

Networks of the paper's size (DBoF: 8,192 units, 30 frames; LSTM: 2 x 1,024, 60 frames) and 3,862
entities on frames of 1,024 + 128 from TFRecord shards. Contenders, in turns in one run:

(a) the bare step: one batch that is on the device already, learned again and again
(b) the training as `worker.py` runs it: one rank of one thread, one process that reads ahead
(c) the same with two ranks of one thread each, the same videos a step in all (on a CPU)

(b) and (c) are counted from steps.jsonl, from its second line on: starting processes is not
training. Prints videos a second, (b) / (a) and (c) / (b); on a GPU also peak memory.

    python benchmarks/deep.py [--device cuda] [--batch 32] [--steps 12]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from made_shards import WIDTHS, make_shards

from yt8m_spark.deep import worker
from yt8m_spark.deep.feed import Feed, FeedOptions
from yt8m_spark.deep.learner import Learner
from yt8m_spark.deep.networks import NetworkOptions, build_network
from yt8m_spark.deep.ranks import joined_ranks
from yt8m_spark.deep.shard_index import index_shards, load_index, save_index
from yt8m_spark.deep.training import Training, save_training

N_ENTITIES, N_SHARDS, TURNS = 3862, 4, 3
FRAMES = {"dbof": ("random", 30), "lstm": ("stretch", 60)}


def main() -> None:
    """Make the shards, measure both networks, print."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        n_videos = given.batch * given.steps
        make_shards(root / "shards", N_SHARDS, -(-n_videos // N_SHARDS))
        save_index(str(root / "index.json"), index_shards(str(root / "shards")))
        entities = {"entity": np.arange(N_ENTITIES, dtype=np.int32)}
        entities["n_positives"] = np.ones(N_ENTITIES, np.int64)
        pq.write_table(pa.table(entities), root / "entities.parquet")
        for network in FRAMES:
            measure(training_of(root, network, given.device, given.batch))


def training_of(root: Path, network: str, device: str, batch: int) -> Training:
    """Paper-sized training of ``network`` on the shards in ``root``."""
    sampling, n_frames = FRAMES[network]
    return Training(
        network=NetworkOptions(network=network, widths=WIDTHS, n_entities=N_ENTITIES),
        feed=FeedOptions(
            widths=WIDTHS,
            sampling=sampling,
            n_frames=n_frames,
            batch_size=batch,
            n_readers=1,
            shuffle_videos=batch,  # so that reading goes on all the while
        ),
        index=str(root / "index.json"),
        entities=str(root / "entities.parquet"),
        folder=str(root / network),
        epochs=1,
        device=device,
        checkpoint_seconds=3600,
    )


def measure(training: Training) -> None:
    """Rates of the contenders in turns, and their ratios."""
    rates: dict[str, list[float]] = {"bare step": [], "one rank": [], "two ranks": []}
    on_cpu = training.device == "cpu"
    for turn in range(TURNS):
        rates["bare step"].append(bare_rate(training))
        rates["one rank"].append(training_rate(training, 1, turn))
        if on_cpu:
            rates["two ranks"].append(training_rate(training, 2, turn))
    bare, one, two = (statistics.median(values or [np.nan]) for values in rates.values())
    kept = statistics.median(b / a for a, b in zip(*list(rates.values())[:2], strict=True))
    print(f"{training.network.network}, batches of {training.feed.batch_size}, {training.device}")
    print(f"  (a) bare step       {bare:9.1f} videos/s")
    print(f"  (b) whole training  {one:9.1f} videos/s   (b) / (a) {kept:.2f}")
    if on_cpu:
        print(f"  (c) two ranks       {two:9.1f} videos/s   (c) / (b) {two / one:.2f}")
    else:
        print(f"  peak memory of the bare step {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


def bare_rate(training: Training, n_steps: int = 6) -> float:
    """Videos a second of steps on a batch that is on the device."""
    entities = np.arange(N_ENTITIES)
    options = replace(training.feed, n_readers=0)
    if training.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with joined_ranks(training.device) as ranks:
        feed = Feed(load_index(training.index), entities, options)
        batch = next(iter(feed.batches(0, 0, 1)))
        tensors = {
            name: value.to(ranks.device)
            for name, value in batch._asdict().items()
            if isinstance(value, torch.Tensor)
        }
        batch = batch._replace(**tensors)
        torch.manual_seed(0)
        network = build_network(training.network).train().to(ranks.device)
        learner = Learner(network, training, ranks)
        n_warm = 2
        for step in range(n_warm + n_steps):
            if step == n_warm:
                wait_for(ranks.device)
                started = time.perf_counter()
            learner.step(batch, step)
        wait_for(ranks.device)
        return n_steps * len(batch.codes) / (time.perf_counter() - started)


def training_rate(training: Training, n_ranks: int, turn: int) -> float:
    """Videos a second of the whole training over ``n_ranks`` ranks, from its own log."""
    folder = Path(training.folder) / f"{n_ranks}-{turn}"
    folder.mkdir(parents=True)
    path = folder / "training.json"
    save_training(path, replace(training, folder=str(folder)))
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_ranks}"]
    program = [sys.executable, *(launcher if n_ranks > 1 else []), worker.__file__, str(path)]
    subprocess.run(program, check=True, capture_output=True)
    lines = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "loss" in line]
    n_steps = lines[-1]["global_step"] - lines[0]["global_step"]
    seconds = lines[-1]["seconds"] - lines[0]["seconds"]
    return float(n_steps * training.feed.batch_size / seconds)


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
