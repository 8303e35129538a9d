"""Begin a training with the weights of another model.

Axes: R weight vectors an entity (1; MoE 2H), E entities of a block, D features.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from yt8m_spark.core.block_state import BlockState
from yt8m_spark.errors import InputError

__all__ = ["warm_state"]


def warm_state(state: BlockState, model: str, entities: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Lay weights and AdaGrad's sums of the model in ``model`` over the first ``state`` (E,).

    Entities that the model has not begin as they would without it: those that the result, (E,),
    says False of.

    Raises
    ------
    InputError
        If its weights are of another shape.
    """
    width, n_rows, _ = state.weights.shape
    known = np.zeros(len(entities), dtype=bool)
    for row in _rows_of(model, entities).to_pylist():
        place = int(np.searchsorted(entities, row["entity"]))
        _check_size(row, n_rows, width, model)
        weights = np.frombuffer(row["weights"], "<f4").reshape(n_rows, width - 1)
        accumulator = np.frombuffer(row["accumulator"], "<f4").reshape(n_rows, width)
        state.weights[:-1, :, place] = weights.T
        state.weights[-1, :, place] = row["bias"]
        state.accumulator[:, :, place] = accumulator.T
        known[place] = True
    return known


def _rows_of(model: str, entities: NDArray[np.int64]) -> pa.Table:
    try:
        rows = ds.dataset(Path(model) / "entities", format="parquet")
        wanted = ds.field("entity").isin(entities.astype(np.int32))
        return rows.to_table(["entity", "weights", "bias", "accumulator"], filter=wanted)
    except (OSError, pa.ArrowInvalid) as error:
        where = str(Path(model) / "entities")
        raise InputError("cannot read the model's entities", where=where, found=error) from None


def _check_size(row: dict[str, bytes], n_rows: int, width: int, model: str) -> None:
    sizes = (len(row["weights"]), len(row["bias"]), len(row["accumulator"]))
    if sizes != (4 * n_rows * (width - 1), n_rows, 4 * n_rows * width):
        raise InputError(
            "weights of the first model are of another shape",
            where=f"{model}, entity {row['entity']!r}",
            expected=f"{n_rows} x {width - 1} float32",
            found=f"{sizes[0]} bytes",
        )
