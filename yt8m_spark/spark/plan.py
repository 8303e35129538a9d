"""What all blocks of one training have in common, as a file that every task reads."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.core.training_options import TrainingOptions

__all__ = [
    "Plan",
    "begun_block_size",
    "block_file",
    "block_is_done",
    "describe_plan",
    "make_task_folders",
    "progress_file",
    "read_plan",
    "write_plan",
]


class Plan(NamedTuple):
    """How to train which entities on which shards, and which entities each block has."""

    loss: str
    n_experts: int
    options: TrainingOptions
    entities: NDArray[np.int64]  # (E,), ascending
    n_positives: NDArray[np.int64]  # (E,)
    block_size: int
    shards: str  # folder of the training shards
    shards_digest: str
    cache: str | None = None  # folder on the local disk of each machine for copies of the shards
    positive_weights: NDArray[np.float32] | None = None  # (E,)
    label_recall: NDArray[np.float64] | None = None  # (E,), of label noise "missing"
    label_precision: NDArray[np.float64] | None = None  # (E,), of the same
    initial_model: str | None = None  # folder of a model whose weights are the first ones
    device: str = "cpu"  # "auto", "cpu" or "cuda"
    checkpoint_seconds: float = 60.0  # at most so much of a block's work is lost

    @property
    def n_blocks(self) -> int:
        """Number of tasks."""
        return -(-len(self.entities) // self.block_size)

    def block(self, number: int) -> slice:
        """Where block ``number`` lies among the entities."""
        return slice(number * self.block_size, (number + 1) * self.block_size)

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides about the weights."""
        decides = describe_plan(self)
        for name in ("shards", "cache", "device", "checkpoint_seconds"):
            del decides[name]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


_ARRAYS = {
    "entities": np.int64,
    "n_positives": np.int64,
    "positive_weights": np.float32,
    "label_recall": np.float64,
    "label_precision": np.float64,
}


def describe_plan(plan: Plan) -> dict[str, Any]:
    """``plan`` in JSON's own types."""
    arrays = {name: getattr(plan, name) for name in _ARRAYS}
    lists = {name: None if array is None else array.tolist() for name, array in arrays.items()}
    return plan._asdict() | lists | {"options": asdict(plan.options)}


def write_plan(work: str, plan: Plan) -> None:
    """Write ``plan`` to the work folder, and make the folders that tasks write to."""
    make_task_folders(work)
    save_json(Path(work) / "plan.json", describe_plan(plan))


def make_task_folders(work: str) -> None:
    """Make the folders of blocks and of progress: tasks that outlive their job must not."""
    for path in (block_file(work, 0), progress_file(work, 0)):
        path.parent.mkdir(parents=True, exist_ok=True)


def read_plan(work: str) -> Plan:
    """Read the plan of the work folder."""
    described = load_json(Path(work) / "plan.json")
    for name, dtype in _ARRAYS.items():
        if described.get(name) is not None:
            described[name] = np.array(described[name], dtype=dtype)
    described["options"] = TrainingOptions(**described["options"])
    return Plan(**described)


def begun_block_size(work: str) -> int | None:
    """Entities a block of the training that the work folder is of; None if it is of none yet.

    Blocks go on as they were begun, though what is best for this machine may have changed.
    """
    return read_plan(work).block_size if (Path(work) / "plan.json").exists() else None


def block_file(work: str, number: int) -> Path:
    """Where the task of block ``number`` leaves its result."""
    return Path(work) / "blocks" / f"block-{number:05d}.parquet"


def block_is_done(work: str, number: int) -> bool:
    """Whether the result of block ``number`` is there, whole: a disk may lose its last seconds."""
    path = block_file(work, number)
    try:
        return path.exists() and pq.read_metadata(path).num_rows > 0
    except (OSError, pa.ArrowInvalid):
        return False


def progress_file(work: str, number: int) -> Path:
    """Where the task of block ``number`` keeps how far it has come."""
    return Path(work) / "progress" / f"block-{number:05d}.npz"
