"""One Spark task, one block of entities: the paper's AdaGrad mapper (§4.3).

A task gets the number of its block and the path of the work folder, nothing else. It reads the
plan and streams the training shards from there, and leaves its trained block there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql.types import DoubleType, IntegerType, LongType, StructField, StructType

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.training import (
    TrainingOptions,
    initial_state,
    mini_batches,
    train_epoch,
)
from yt8m_spark.progress import Heartbeat
from yt8m_spark.spark.models import TrainedBlock, write_block
from yt8m_spark.spark.schemas import arrow_schema
from yt8m_spark.spark.shards import ShardSet, open_shards

__all__ = [
    "BLOCK_REPORT",
    "Plan",
    "block_file",
    "describe_plan",
    "read_plan",
    "train_blocks",
    "write_plan",
]

BLOCK_REPORT = StructType(
    [
        StructField("block", IntegerType()),
        StructField("n_entities", LongType()),
        StructField("mean_loss", DoubleType()),
    ]
)


class Plan(NamedTuple):
    """What all blocks of one training have in common, and which entities each has."""

    loss: str
    n_experts: int
    options: TrainingOptions
    entities: NDArray[np.int64]  # (E,), ascending
    n_positives: NDArray[np.int64]  # (E,)
    block_size: int
    shards: str  # folder of the training shards

    @property
    def n_blocks(self) -> int:
        """Number of tasks."""
        return -(-len(self.entities) // self.block_size)

    def block(self, number: int) -> slice:
        """Where block ``number`` lies among the entities."""
        return slice(number * self.block_size, (number + 1) * self.block_size)


def describe_plan(plan: Plan) -> dict[str, Any]:
    """``plan`` in JSON's own types."""
    return plan._asdict() | {
        "options": asdict(plan.options),
        "entities": plan.entities.tolist(),
        "n_positives": plan.n_positives.tolist(),
    }


def write_plan(work: str, plan: Plan) -> None:
    """Write ``plan`` to the work folder."""
    save_json(Path(work) / "plan.json", describe_plan(plan))


def read_plan(work: str) -> Plan:
    """Read the plan of the work folder."""
    described = load_json(Path(work) / "plan.json")
    for name in ("entities", "n_positives"):
        described[name] = np.array(described[name], dtype=np.int64)
    described["options"] = TrainingOptions(**described["options"])
    return Plan(**described)


def block_file(work: str, number: int) -> Path:
    """Where the task of block ``number`` leaves its result."""
    return Path(work) / "blocks" / f"block-{number:05d}.parquet"


def train_blocks(batches: Iterable[pa.RecordBatch], work: str) -> Iterator[pa.RecordBatch]:
    """Train the blocks whose numbers come in column ``id``; those done already are left."""
    plan = read_plan(work)
    shards = open_shards(plan.shards)
    for batch in batches:
        for number in batch.column("id").to_pylist():
            if block_file(work, number).exists():
                continue
            block = _train_block(plan, number, shards, work)
            write_block(block_file(work, number), block, plan.loss)
            report = {
                "block": [number],
                "n_entities": [len(block.entities)],
                "mean_loss": [float(block.losses[-1].mean())],
            }
            yield pa.RecordBatch.from_pydict(report, schema=arrow_schema(BLOCK_REPORT))


def _train_block(plan: Plan, number: int, shards: ShardSet, work: str) -> TrainedBlock:
    entities = plan.entities[plan.block(number)]
    family = loss_family(plan.loss, plan.n_experts)
    state = initial_state(family, entities, shards.n_features, plan.options)
    heartbeat = Heartbeat(str(Path(work) / "heartbeats"), f"{number:05d}")
    losses = []
    for epoch in range(plan.options.n_epochs):
        # The order of shards is the pass's, not the block's: blocks see the same mini-batches.
        order = np.random.default_rng([plan.options.seed, epoch]).permutation(shards.n_shards)
        batches = mini_batches(shards.chunks(order), entities, plan.options, epoch)
        losses.append(train_epoch(state, _counted(batches, heartbeat), family, plan.options))
    heartbeat.flush()
    return TrainedBlock(entities, plan.n_positives[plan.block(number)], state, np.array(losses))


def _counted(
    batches: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]], heartbeat: Heartbeat
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    for x, y in batches:
        yield x, y
        heartbeat.advance(len(x))
