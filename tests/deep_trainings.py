"""Small trainings for the tests of `yt8m_spark.deep`: fixed batches, one rank or two processes.

As a script it is one rank: ``deep_trainings.py TRAINING.json [--resume] [--die-at STEP]``.
"""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from yt8m_spark.deep import fit, step_log, worker
from yt8m_spark.deep.checkpoints import list_checkpoints
from yt8m_spark.deep.feed import Batch, FeedOptions
from yt8m_spark.deep.networks import NetworkOptions
from yt8m_spark.deep.shard_index import ShardIndex, Unit
from yt8m_spark.deep.training import Training, load_training, save_training

WIDTHS = {"rgb": 6, "audio": 2}
# 29: the last batch, of 5, falls unevenly to two ranks.
N_ENTITIES, N_VIDEOS, N_FRAMES, BATCH = 5, 29, 4, 8


def make_training(folder, **changes):
    """A training of a tiny LSTM without BatchNorm, in ``folder``; its entities are written."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ids = np.arange(N_ENTITIES) * 3
    table = pa.table({"entity": pa.array(ids, pa.int32()), "n_positives": ids + 1})
    pq.write_table(table, folder / "entities.parquet")
    network = changes.pop("network", "lstm")
    training = Training(
        network=NetworkOptions(
            network, WIDTHS, N_ENTITIES, n_units=12, n_hidden=7, n_layers=1, n_cells=6, horizon=3
        ),
        feed=FeedOptions(widths=WIDTHS, sampling="all", n_frames=0, batch_size=BATCH),
        index="none",
        entities=str(folder / "entities.parquet"),
        folder=str(folder),
        epochs=2,
        checkpoint_seconds=0.0,
        keep_checkpoints=3,
        device="cpu",
    )
    return dataclasses.replace(training, **changes)


class FixedFeed:
    """Feed of made-up videos: a step's are the same for any number of ranks."""

    stop_at = None  # global step (from 0) before which an error comes
    kill_at = None  # as that, but the process dies

    def __init__(self, index, entities, options, rank, world_size, pin_memory):
        self.rank, self.world_size, self.batch_size = rank, world_size, options.batch_size
        self.n_steps = -(-N_VIDEOS // self.batch_size)
        rng = np.random.default_rng(5)
        self.codes = rng.integers(0, 256, (N_VIDEOS, N_FRAMES, sum(WIDTHS.values())), np.uint8)
        self.n_frames = rng.integers(1, N_FRAMES + 1, N_VIDEOS)
        self.labels = rng.random((N_VIDEOS, N_ENTITIES)) < 0.4

    def batches(self, epoch, step, n_epochs):
        for at in range(epoch * self.n_steps + step, n_epochs * self.n_steps):
            if at == self.stop_at:
                raise KeyboardInterrupt
            if at == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield self._batch(*divmod(at, self.n_steps))

    def _batch(self, epoch, step):
        order = np.random.default_rng([7, epoch]).permutation(N_VIDEOS)
        of_step = order[step * self.batch_size : (step + 1) * self.batch_size]
        mine = np.array_split(of_step, self.world_size)[self.rank]
        rows, columns = np.nonzero(self.labels[mine])
        tensors = (self.codes[mine], self.n_frames[mine], rows, columns)
        return Batch(*map(torch.from_numpy, tensors), epoch, step, len(of_step))


def use_fixed_feed(patch):
    """Have `fit.train` take `FixedFeed`, and exchange losses after each step."""
    patch(fit, "Feed", FixedFeed)
    patch(fit, "load_index", lambda _path: ShardIndex((Unit("made up", -1, N_VIDEOS),), "tfrecord"))
    patch(step_log, "LINE_SECONDS", 0.0)


def lines(folder):
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def outcome(folder):
    """All that a training leaves that must not depend on how often it was stopped."""
    told = [
        {name: line[name] for name in line if name not in ("seconds", "examples_per_second")}
        for line in lines(folder)
    ]
    newest = list_checkpoints(folder / "checkpoints")[0]
    files = [*newest.iterdir(), *(folder / "epochs").glob("*/weights.safetensors")]
    return told, {str(file.relative_to(folder)): file.read_bytes() for file in files}


def start_ranks(training, n_ranks, *flags, script=__file__):
    """Start the ranks of ``training``; the processes."""
    path = Path(training.folder) / "training.json"
    save_training(path, training)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(n_ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, str(script), str(path), *flags],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(n_ranks)
    ]


def run_ranks(training, n_ranks, *flags):
    """Run the ranks of ``training`` to their end; exit statuses and what was printed."""
    ranks = start_ranks(training, n_ranks, *flags)
    printed = [rank.communicate(timeout=100)[1] for rank in ranks]
    return [rank.returncode for rank in ranks], "\n".join(printed)


def main(arguments):
    use_fixed_feed(setattr)
    if "--die-at" in arguments and os.environ["RANK"] == "1":
        FixedFeed.kill_at = int(arguments[arguments.index("--die-at") + 1])
    fit.train(load_training(arguments[0]), resume="--resume" in arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
    worker.end_now(0)  # as a rank ends
