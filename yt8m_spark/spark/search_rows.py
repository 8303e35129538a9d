"""The rows of a search's model: each entity's of the setting that it gets.

Axes: E entities, H experts, R = 2H weight vectors of an entity, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from yt8m_spark.artifacts import load_arrays, save_arrays
from yt8m_spark.core.search import NO_GATE, pad_experts
from yt8m_spark.spark.entity_rows import ENTITY_ROW, write_rows
from yt8m_spark.spark.plan import Plan, block_file, make_task_folders, read_plan
from yt8m_spark.spark.schemas import arrow_schema
from yt8m_spark.spark.search_mapper import SEARCHED_BLOCK
from yt8m_spark.spark.search_plan import setting_folder

__all__ = ["chosen_folder", "lay_blocks", "save_choice"]

_CHOICE = "of_entity"


def chosen_folder(work: str) -> str:
    """Where `lay_blocks` leaves the rows: ``blocks`` as of a training."""
    return str(Path(work) / "chosen")


def save_choice(work: str, of_entity: NDArray[np.int64]) -> None:
    """Tell the tasks of `lay_blocks` which setting each entity (E,) gets."""
    make_task_folders(chosen_folder(work))
    save_arrays(_choice_file(work), {_CHOICE: of_entity})


def lay_blocks(batches: Iterable[pa.RecordBatch], work: str) -> Iterator[pa.RecordBatch]:
    """Write the rows chosen of the blocks whose numbers come in column ``id``."""
    of_entity = load_arrays(_choice_file(work), [_CHOICE])[_CHOICE]
    plans = {s: read_plan(setting_folder(work, s)) for s in np.unique(of_entity).tolist()}
    n_experts = max(plan.n_experts for plan in plans.values())
    for batch in batches:
        for number in batch.column("id").to_pylist():
            rows = _chosen_rows(plans, number, of_entity, n_experts, work)
            write_rows(block_file(chosen_folder(work), number), rows)
            report = {"block": [number], "n_entities": [rows.num_rows]}
            yield pa.RecordBatch.from_pydict(report, schema=arrow_schema(SEARCHED_BLOCK))


def _choice_file(work: str) -> Path:
    return Path(work) / "choice.npz"


def _chosen_rows(
    plans: dict[int, Plan], number: int, of_entity: NDArray[np.int64], n_experts: int, work: str
) -> pa.Table:
    parts = []
    for setting, plan in plans.items():
        block = plan.block(number)
        wanted = plan.entities[block][of_entity[block] == setting]
        if len(wanted):
            rows = pq.read_table(block_file(setting_folder(work, setting), number))
            rows = rows.filter(pc.is_in(rows["entity"], pa.array(wanted, pa.int32())))
            parts.append(_padded(rows, plan, n_experts))
    return pa.concat_tables(parts).sort_by("entity")


def _padded(rows: pa.Table, plan: Plan, n_experts: int) -> pa.Table:
    """Rows of mixtures as those of ``n_experts``; others as they are."""
    h = plan.n_experts
    if plan.loss != "moe" or h == n_experts:
        return rows
    bias = np.array(rows["bias"].to_pylist(), dtype=np.float32)
    start = plan.options.initial_accumulator
    columns: dict[str, Any] = {
        "weights": _bytes(pad_experts(_floats(rows["weights"], h), n_experts, gate=0, expert=0)),
        "bias": pad_experts(bias, n_experts, gate=NO_GATE, expert=0).tolist(),
        "accumulator": _bytes(
            pad_experts(_floats(rows["accumulator"], h), n_experts, gate=start, expert=start)
        ),
    }
    for name, values in columns.items():
        place = rows.column_names.index(name)
        rows = rows.set_column(
            place, ENTITY_ROW.field(name), pa.array(values, ENTITY_ROW.field(name).type)
        )
    return rows


def _floats(column: pa.ChunkedArray, h: int) -> NDArray[np.float32]:
    """Binary ``column`` as (E, 2H, X) float32."""
    values = [np.frombuffer(value, "<f4") for value in column.to_pylist()]
    return np.stack(values).reshape(len(values), 2 * h, -1)


def _bytes(rows: NDArray[np.float32]) -> list[bytes]:
    return [np.ascontiguousarray(row, "<f4").tobytes() for row in rows]
