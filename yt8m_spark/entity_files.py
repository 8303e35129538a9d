"""The Parquet files of a model's entities, read with Arrow alone: no Spark.

Axes: E entities, R weight vectors an entity (1; MoE 2H), D features.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from yt8m_spark.errors import InputError

__all__ = ["bias_rows", "entity_files", "read_entities", "read_rows", "weight_rows"]

Ints = NDArray[np.int64]


def read_entities(folder: str, n_entities: int) -> Ints:
    """Entities of the model, (E,) ascending; none lost, and none of another training."""
    files = entity_files(folder)
    columns = [read_rows(path, ["entity"]).column(0) for path in files]
    if any(column.null_count or not pa.types.is_integer(column.type) for column in columns):
        raise _unreadable(folder, "entities that are no numbers")
    entities = np.concatenate([column.to_numpy().astype(np.int64) for column in columns])
    different = np.unique(entities)
    if not len(different) == len(entities) == n_entities:
        raise InputError(
            "entities are not those of model.json",
            where=str(Path(folder) / "entities"),
            expected=f"{n_entities}, each once",
            found=f"{len(entities)}, {len(different)} of them different",
        )
    return different


def entity_files(folder: str) -> list[Path]:
    """Parquet files of the entities of the model in ``folder``; an InputError if there are none."""
    files = sorted((Path(folder) / "entities").glob("[!._]*.parquet"))
    if not files:
        raise _unreadable(folder, "no Parquet file")
    return files


def read_rows(path: Path, columns: list[str]) -> pa.Table:
    """``columns`` of one file; its rows of weights stay bytes, no Python object each."""
    try:
        table = pq.ParquetFile(path).read(columns=columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(str(path.parent.parent), error, path.name) from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise _unreadable(str(path.parent.parent), f"no column {missing[0]!r}", path.name)
    return table


def _unreadable(folder: str, found: object, name: str = "") -> InputError:
    where = str(Path(folder) / "entities" / name)
    return InputError("cannot read the model's entities", where=where, found=found)


def weight_rows(
    column: pa.Array, shape: tuple[int, int, int], entities: Ints, path: Path
) -> NDArray[np.float32]:
    """Binary ``column`` as weights of ``shape`` (E, R, D), a view of its bytes."""
    column = column.cast(pa.large_binary())
    lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy()
    _check(lengths, 4 * shape[1] * shape[2], "bytes", shape, entities, path)
    _, ends, data = column.buffers()
    first = int(np.frombuffer(ends, np.int64)[column.offset]) if len(column) else 0
    flat = np.frombuffer(data or b"", "<f4", count=int(np.prod(shape)), offset=first)
    return flat.reshape(shape)


def bias_rows(
    column: pa.Array, shape: tuple[int, int, int], entities: Ints, path: Path
) -> NDArray[np.float32]:
    """List ``column`` as biases (E, R)."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    _check(lengths, shape[1], "biases", shape, entities, path)
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(shape[:2])


def _check(
    lengths: Ints, expected: int, unit: str, shape: tuple[int, int, int], entities: Ints, path: Path
) -> None:
    """Refuse a row of another length than model.json tells."""
    wrong = lengths != expected
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            "weights do not fit model.json",
            where=f"{path}, entity {entities[row]}",
            expected=f"{shape[1]} x {shape[2]} float32 and {shape[1]} biases",
            found=f"{lengths[row]} {unit}",
        )
