"""Moments of array columns: `core.moments` spread over partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, IntegerType, LongType, StructField, StructType

from yt8m_spark.core.moments import Moments, MomentSums, merge_all, merge_means, product_type
from yt8m_spark.core.triangles import pack, unpack
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import to_matrix
from yt8m_spark.spark.counted import counting
from yt8m_spark.spark.schemas import FLOATS, arrow_schema, require_columns

__all__ = [
    "column_means",
    "column_moments",
    "complete_rows",
    "concatenated",
    "fits_one_state",
    "moments_in_one_pass",
]

Rows = NDArray[np.float32]
RowsOf = Callable[[pa.RecordBatch, Sequence[str]], Rows]
Fold = Callable[[Iterable[Rows], Sequence[str]], Moments | None]

_STATE = StructType(
    [
        StructField("partition", IntegerType()),
        StructField("n", LongType()),
        StructField("mean", BinaryType()),
        StructField("scatter", BinaryType()),  # a triangle; empty where only means are taken
    ]
)
# Of rows that were stored in float32, if not of their products: see `MomentSums`.
_ROUNDING = float(np.finfo(np.float32).eps)
# Tasks that merge, and so states that the driver merges in the end: one task alone would read the
# states of a thousand partitions. Of fewer partitions adaptive execution makes fewer tasks.
_MERGERS = 8
# Rows taken from Arrow at once; of nulls and of more columns than one this makes a copy.
_ROWS_AT_ONCE = 4096
# Of the memory a task may take, the share of one state: it lies there as Spark's row, in Arrow
# and in NumPy, and the driver's search for eigenvectors holds four times as much.
_STATES_IN_MEMORY = 8


def fits_one_state(width: int, memory: int) -> bool:
    """Whether a state of D = ``width`` features is small enough for ``memory`` bytes of a task."""
    return 8 * width**2 * _STATES_IN_MEMORY <= memory


def column_moments(
    df: DataFrame, columns: Sequence[str], *, heartbeats: str | None = None
) -> Moments:
    """Moments of the array<float> ``columns``, set side by side, over all rows, in one pass.

    Each partition gives one state of 8 D² bytes, half of them to send (8 MiB at D = 1,024; 411 MB
    at D = 7,168, for which `spark.moment_tiles` is). Tasks merge them, two in memory at a time,
    and the driver receives and merges at most 8. Their order hangs on the partitions' numbers
    alone, so a given partitioning gives the same bits each time.

    A row with a null in one of the columns (a video without frames of a list) is left out.

    Raises
    ------
    InputError
        If ``df`` lacks a column or has no rows; rows of unequal length, nulls in a row and NaN
        fail the Spark task with one.
    """
    require_columns(df, dict.fromkeys(columns, FLOATS), "videos table")
    return moments_in_one_pass(df, columns, complete_rows, heartbeats=heartbeats)


def moments_in_one_pass(
    df: DataFrame, columns: Sequence[str], rows_of: RowsOf, *, heartbeats: str | None = None
) -> Moments:
    """The same of the rows that ``rows_of`` makes of each batch of ``columns``."""
    return _merged_by_tree(df, columns, rows_of, _scatter_fold, heartbeats)


def column_means(
    df: DataFrame, columns: Sequence[str], *, heartbeats: str | None = None
) -> tuple[int, NDArray[np.float64]]:
    """Number of rows and mean (D,) of the ``columns``, as `column_moments` takes them.

    Raises
    ------
    InputError
        As `column_moments`.
    """
    require_columns(df, dict.fromkeys(columns, FLOATS), "videos table")
    merged = _merged_by_tree(df, columns, complete_rows, _mean_fold, heartbeats)
    return merged.n, merged.mean


def concatenated(batch: pa.RecordBatch, columns: Sequence[str]) -> Rows:
    """The array<float> ``columns`` of ``batch`` side by side, (B, D)."""
    parts = [to_matrix(batch.column(name), name) for name in columns]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def complete_rows(batch: pa.RecordBatch, columns: Sequence[str]) -> Rows:
    """The same of those rows that have all of ``columns``."""
    if any(batch.column(name).null_count for name in columns):
        valid = [batch.column(name).is_valid() for name in columns]
        batch = batch.filter(reduce(pc.and_, valid))
    return concatenated(batch, columns)


def _merged_by_tree(
    df: DataFrame, columns: Sequence[str], rows_of: RowsOf, fold: Fold, heartbeats: str | None
) -> Moments:
    columns = tuple(columns)
    task = partial(
        _fold_partition, columns=columns, rows_of=rows_of, fold=fold, heartbeats=heartbeats
    )
    merge = partial(_merge_partition, columns=columns)
    states = df.select(*columns).mapInArrow(task, _STATE)
    spread = states.repartition(F.pmod("partition", F.lit(_MERGERS)))
    merged = spread.sortWithinPartitions("partition").mapInArrow(merge, _STATE)
    rows = sorted(merged.collect(), key=itemgetter("partition"))
    total = _merge((_from_row(row.asDict()) for row in rows), columns)
    if total is None:
        raise InputError("no rows to take moments of", where=f"column {', '.join(columns)}")
    return total


def _fold_partition(
    batches: Iterable[pa.RecordBatch],
    columns: tuple[str, ...],
    rows_of: RowsOf,
    fold: Fold,
    heartbeats: str | None,
) -> Iterator[pa.RecordBatch]:
    batches = counting(batches, heartbeats, lambda batch: batch.num_rows)
    yield from _state(fold(_slices(batches, columns, rows_of), columns))


def _merge_partition(
    batches: Iterable[pa.RecordBatch], columns: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    states = (_from_row(row) for batch in batches for row in batch.to_pylist())
    yield from _state(_merge(states, columns))


def _merge(given: Iterable[Moments], columns: Sequence[str]) -> Moments | None:
    """All states ``given`` as one, two in memory at a time; None if there are none."""
    states = _of_one_width(given, lambda state: len(state.mean), columns)
    first = next(states, None)
    if first is None:
        return None
    if first.scatter.size:
        return merge_all(_with_first(first, states))
    means = merge_means((state.n, state.mean) for state in _with_first(first, states))
    return None if means is None else Moments(*means, first.scatter)


def _with_first(first: Moments, others: Iterable[Moments]) -> Iterator[Moments]:
    yield first
    yield from others


def _scatter_fold(rows: Iterable[Rows], columns: Sequence[str]) -> Moments | None:
    """Moments of all ``rows``."""
    sums = None
    for some in _of_one_width(rows, lambda some: some.shape[1], columns):
        if sums is None:
            sums = MomentSums(some.shape[1], product_type(some.shape[1]))
        sums.add(some)
    try:
        return None if sums is None else sums.total()
    except ValueError as error:
        raise InputError(str(error), where=f"column {', '.join(columns)}") from None


def _mean_fold(rows: Iterable[Rows], columns: Sequence[str]) -> Moments | None:
    """Count and mean of all ``rows``, with a scatter of no entries."""
    of_one_width = _of_one_width(rows, lambda some: some.shape[1], columns)
    merged = merge_means((len(some), some.mean(axis=0, dtype=np.float64)) for some in of_one_width)
    return None if merged is None else Moments(*merged, np.zeros((0, 0)))


def _state(moments: Moments | None) -> Iterator[pa.RecordBatch]:
    """One state of a task, none if there are no moments."""
    if moments is None:
        return
    context = TaskContext.get()
    state = {
        "partition": [context.partitionId() if context else 0],
        "n": [moments.n],
        "mean": [moments.mean.tobytes()],
        "scatter": [pack(moments.scatter).tobytes()],
    }
    yield pa.RecordBatch.from_pydict(state, schema=arrow_schema(_STATE))


def _slices(
    batches: Iterable[pa.RecordBatch], columns: Sequence[str], rows_of: RowsOf
) -> Iterator[Rows]:
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            rows = rows_of(batch.slice(start, _ROWS_AT_ONCE), columns)
            if len(rows):
                yield rows


def _of_one_width(
    items: Iterable[Any], width_of: Callable[[Any], int], columns: Sequence[str]
) -> Iterator[Any]:
    """``items`` as they come; refuses one whose width is not the first one's."""
    width = None
    for item in items:
        found = width_of(item)
        width = found if width is None else width
        if found != width:
            where = f"column {', '.join(columns)}"
            raise InputError("feature widths differ", where=where, expected=width, found=found)
        yield item


def _from_row(row: Mapping[str, Any]) -> Moments:
    mean = np.frombuffer(row["mean"], dtype=np.float64)
    packed = np.frombuffer(row["scatter"], dtype=np.float64)
    return Moments(row["n"], mean, unpack(packed, len(mean) if packed.size else 0), _ROUNDING)
