"""Moments of array columns: `core.moments` spread over partitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import BinaryType, IntegerType, LongType, StructField, StructType

from yt8m_spark.core.moments import Moments, merge_all, moments_of
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import to_matrix
from yt8m_spark.spark.schemas import FLOATS, arrow_schema, require_columns

__all__ = ["column_moments", "concatenated"]

_STATE = StructType(
    [
        StructField("width", IntegerType()),
        StructField("n", LongType()),
        StructField("mean", BinaryType()),
        StructField("scatter", BinaryType()),
    ]
)
# Blocks of columns per row of the result; keeps a state row far below Arrow's 2 GiB.
_ROWS_AT_ONCE = 4096


def column_moments(df: DataFrame, columns: Sequence[str]) -> Moments:
    """Moments of the array<float> ``columns``, set side by side, over all rows, in one pass.

    Each partition sends one state to the driver, 8 D² bytes (8 MiB at D = 1,024, 411 MB at
    D = 7,168), and the driver holds two at a time. Partitions are merged in the order of their
    numbers, so a given partitioning gives the same bits each time.

    Raises
    ------
    InputError
        If ``df`` lacks a column or has no rows; rows of unequal length, nulls and NaN fail the
        Spark task with one.
    """
    require_columns(df, dict.fromkeys(columns, FLOATS), "videos table")
    fold = partial(_fold_partition, columns=tuple(columns))
    rows = df.select(*columns).mapInArrow(fold, _STATE).toLocalIterator()
    states = (_from_row(row.width, row.n, row.mean, row.scatter) for row in rows)
    moments = merge_all(_of_one_width(states, columns))
    if moments is None:
        raise InputError("no rows to take moments of", where=f"column {', '.join(columns)}")
    return moments


def concatenated(batch: pa.RecordBatch, columns: Sequence[str]) -> NDArray[np.float32]:
    """The array<float> ``columns`` of ``batch`` side by side, (B, D)."""
    parts = [to_matrix(batch.column(name), name) for name in columns]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _fold_partition(
    batches: Iterable[pa.RecordBatch], columns: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    moments = merge_all(_of_one_width(_moments_of_slices(batches, columns), columns))
    if moments is not None:
        state = {
            "width": [len(moments.mean)],
            "n": [moments.n],
            "mean": [moments.mean.tobytes()],
            "scatter": [moments.scatter.tobytes()],
        }
        yield pa.RecordBatch.from_pydict(state, schema=arrow_schema(_STATE))


def _moments_of_slices(
    batches: Iterable[pa.RecordBatch], columns: Sequence[str]
) -> Iterator[Moments]:
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            yield moments_of(concatenated(batch.slice(start, _ROWS_AT_ONCE), columns))


def _of_one_width(moments: Iterable[Moments], columns: Sequence[str]) -> Iterator[Moments]:
    """``moments`` as they come; refuses one whose width is not the first one's."""
    width = None
    for one in moments:
        width = len(one.mean) if width is None else width
        _check_width(len(one.mean), width, columns)
        yield one


def _from_row(width: int, n: int, mean: bytes, scatter: bytes) -> Moments:
    square = np.frombuffer(scatter, dtype=np.float64).reshape(width, width)
    return Moments(n, np.frombuffer(mean, dtype=np.float64), square)


def _check_width(found: int, expected: int, columns: Sequence[str]) -> None:
    if found != expected:
        where = f"column {', '.join(columns)}"
        raise InputError("feature widths differ", where=where, expected=expected, found=found)
