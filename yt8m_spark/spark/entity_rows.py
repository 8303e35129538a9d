"""Rows of a model: one entity each, as a mapper leaves them (design: "Tables", model).

Axes: R weight vectors an entity (1; MoE 2H), E entities, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from yt8m_spark.artifacts import file_in_place
from yt8m_spark.core.training import BlockTrainer
from yt8m_spark.errors import InputError

__all__ = ["ENTITY_ROW", "TrainedBlock", "write_block", "write_rows"]

ENTITY_ROW = pa.schema(
    [
        ("entity", pa.int32()),
        ("loss", pa.string()),
        ("weights", pa.binary()),  # R x D float32, little-endian, row-major
        ("bias", pa.list_(pa.float32())),  # R
        ("n_positives", pa.int64()),
        ("loss_history", pa.list_(pa.float32())),  # mean loss of each pass it was trained in
        ("accumulator", pa.binary()),  # R x (D + 1) float32, AdaGrad's state of training
        ("status", pa.string()),  # "trained", "converged" or "no positives"
    ]
)


class TrainedBlock(NamedTuple):
    """What a mapper has to tell of its entities."""

    entities: NDArray[np.int64]  # (E,)
    n_positives: NDArray[np.int64]  # (E,)
    trainer: BlockTrainer

    def losses(self) -> NDArray[np.float64]:
        """Mean loss of each pass, (passes, E); NaN where an entity was not trained."""
        return np.array(self.trainer.losses).reshape(-1, len(self.entities))

    def last_losses(self) -> NDArray[np.float64]:
        """Mean loss of each entity in the last pass it was trained in, (E,); NaN if in none."""
        last = np.full(len(self.entities), np.nan)
        for losses in self.trainer.losses:
            last = np.where(np.isnan(losses), last, losses)
        return last

    def statuses(self) -> list[str]:
        """What became of each entity."""
        names = np.where(self.trainer.state.active, "trained", "converged")
        return [str(name) for name in np.where(self.n_positives == 0, "no positives", names)]


def write_block(path: Path, block: TrainedBlock, loss: str) -> None:
    """Write ``block`` as one Parquet file, whole or not at all.

    Raises
    ------
    InputError
        If a weight is not finite: every score of that entity would be NaN.
    """
    weights = block.trainer.state.final_weights()  # (R, E, D + 1)
    _check_finite(weights, block.entities)
    weights = np.ascontiguousarray(weights.transpose(1, 0, 2), dtype="<f4")  # (E, R, D + 1)
    accumulator = block.trainer.state.final_accumulator().transpose(1, 0, 2).astype("<f4")
    columns: dict[str, Sequence[Any]] = {
        "entity": block.entities.tolist(),
        "loss": [loss] * len(weights),
        "weights": [np.ascontiguousarray(w[:, :-1]).tobytes() for w in weights],
        "bias": [w[:, -1].tolist() for w in weights],
        "n_positives": block.n_positives.tolist(),
        "loss_history": [h[np.isfinite(h)].tolist() for h in block.losses().T],
        "accumulator": [np.ascontiguousarray(a).tobytes() for a in accumulator],
        "status": block.statuses(),
    }
    write_rows(path, pa.Table.from_pydict(columns, schema=ENTITY_ROW))


def write_rows(path: Path, rows: pa.Table) -> None:
    """Write ``rows``, of `ENTITY_ROW`, as one Parquet file, whole or not at all.

    Its folder must be there: a task that outlives its training must not bring it back.
    """
    with file_in_place(path) as temporary:
        # Weights do not compress; dictionaries of them only cost time.
        pq.write_table(rows, temporary, compression="none", use_dictionary=["loss", "status"])


def _check_finite(weights: NDArray[np.float32], entities: NDArray[np.int64]) -> None:
    finite = np.isfinite(weights).all(axis=(0, 2))
    if not finite.all():
        raise InputError(
            "training diverged",
            where=f"entity {entities[np.argmin(finite)]}",
            expected="features of length 1 and a learning rate near 1",
            found="weights that are not finite",
        )
