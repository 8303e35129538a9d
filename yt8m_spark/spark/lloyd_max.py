"""Fit Lloyd-Max codebooks on array columns: `core.lloyd_max` on Spark (paper §3.3).

Axes: V videos, D features, K bins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import TaskContext
from pyspark.sql import DataFrame, Row
from pyspark.sql.types import BinaryType, IntegerType, StringType, StructField, StructType

from yt8m_spark.core.codebooks import MAX_LEVELS, Codebook
from yt8m_spark.core.histograms import (
    Histogram,
    Range,
    histogram_of,
    merge_histograms,
    merge_ranges,
    range_of,
)
from yt8m_spark.core.lloyd_max import fit_lloyd_max
from yt8m_spark.errors import InputError
from yt8m_spark.progress import Heartbeat
from yt8m_spark.spark.arrow import to_matrix
from yt8m_spark.spark.schemas import FLOATS, arrow_schema, require_columns
from yt8m_spark.spark.vectors import with_float_arrays

__all__ = ["N_BINS", "Scope", "fit_codebook"]

Batches = Iterable[pa.RecordBatch]
Scope = Literal["dimension", "shared"]

# Bins over the range of a feature, eight for each of 256 levels. Ours; four times as many change
# the error on real features by less than 1 %.
N_BINS = 2048

# Features whose histograms travel and are fitted together: 4 MiB at 2,048 bins.
_BLOCK = 128
# Rows counted at once; in float64 they are 8 MiB at 1,024 features.
_ROWS_AT_ONCE = 1024

_ARRAYS = ("levels", "thresholds", "bounds")
_NAME, _BYTES = StringType(), BinaryType()
_RANGES = StructType(
    [StructField("column", _NAME), StructField("low", _BYTES), StructField("high", _BYTES)]
)
_STATES = StructType(
    [
        StructField("block", IntegerType()),
        StructField("counts", _BYTES),
        StructField("offsets", _BYTES),
    ]
)
_CODES = StructType(
    [StructField("block", IntegerType()), *(StructField(name, _BYTES) for name in _ARRAYS)]
)


class _Block(NamedTuple):
    """Features ``start`` to ``stop`` - 1 of a column, or all of them as one (``shared``)."""

    column: str
    width: int  # of the column
    start: int
    stop: int
    shared: bool
    range: Range

    def values(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is counted of ``matrix`` (V, width): a column for each range."""
        return matrix.reshape(-1, 1) if self.shared else matrix[:, self.start : self.stop]


def fit_codebook(
    df: DataFrame,
    columns: Sequence[str],
    *,
    n_levels: int = MAX_LEVELS,
    scope: Scope = "dimension",
    n_bins: int = N_BINS,
    heartbeats: str | None = None,
) -> dict[str, Codebook]:
    """Lloyd-Max codebook of each of the array<float> ``columns``, in two passes over ``df``.

    Paper: §3.3. The first pass finds the range of each feature, the second counts in ``n_bins``
    equal bins over it. Both merge whole numbers or extremes: the result is the same, to the bit,
    for any partitioning and order of rows.

    Parameters
    ----------
    df : DataFrame
    columns : sequence of str
    n_levels : int
        L, 2 to 256.
    scope : {"dimension", "shared"}
        Levels for each feature, or the same for all features of a column. A feature of its own
        levels needs some hundred values for each of them.
    n_bins : int
        K, at least ``n_levels``. A task holds 16 D K bytes, 36 MiB for 1,152 features at 2,048
        bins, and sends them to those that merge and fit, 128 features each; shared, it is 16 K.
        The driver receives ranges and codebooks alone, 3 KiB a feature.
    heartbeats : str, optional
        Folder in which tasks count the videos they read; each counts twice.

    Raises
    ------
    InputError
        If a column is missing, there are no rows or features, or an option is out of range; rows
        of unequal length, nulls and NaN fail the Spark task with one.
    """
    if not 2 <= n_levels <= MAX_LEVELS:
        raise InputError("wrong n_levels", expected=f"2 to {MAX_LEVELS}", found=n_levels)
    if n_bins < n_levels:
        raise InputError("too few bins", expected=f"at least {n_levels}", found=n_bins)
    df = with_float_arrays(df, columns)
    require_columns(df, dict.fromkeys(columns, FLOATS), "videos table")
    df = df.select(*columns)
    blocks = _blocks(_column_ranges(df, columns, heartbeats), scope)
    count = partial(_count_partition, blocks=blocks, n_bins=n_bins, heartbeats=heartbeats)
    fit = partial(_fit_partition, blocks=blocks, n_bins=n_bins, n_levels=n_levels)
    states = df.mapInArrow(count, _STATES).repartition(len(blocks), "block")
    fitted = states.sortWithinPartitions("block").mapInArrow(fit, _CODES).collect()
    parts = {row.block: _codebook_of(row, n_levels) for row in fitted}
    return {
        name: _side_by_side([parts[i] for i, block in enumerate(blocks) if block.column == name])
        for name in columns
    }


def _column_ranges(
    df: DataFrame, columns: Sequence[str], heartbeats: str | None
) -> dict[str, Range]:
    """Range of each feature of ``columns``."""
    find = partial(_range_partition, columns=tuple(columns), heartbeats=heartbeats)
    states = df.mapInArrow(find, _RANGES).repartition(1)
    rows = states.mapInArrow(_merge_partition, _RANGES).collect()
    ranges = {row.column: _range_from(row.low, row.high) for row in rows}
    missing = [name for name in columns if name not in ranges]
    if missing:
        where = f"column {', '.join(missing)}"
        raise InputError("no rows to fit a codebook on", where=where)
    for name, found in ranges.items():
        if not len(found.low):
            raise InputError("no features", where=f"column {name!r}")
    return ranges


def _blocks(ranges: Mapping[str, Range], scope: str) -> list[_Block]:
    """What each of the tasks that fit has to do."""
    blocks = []
    for name, (low, high) in ranges.items():
        width = len(low)
        if scope == "shared":
            whole = Range(low.min(keepdims=True), high.max(keepdims=True))
            blocks.append(_Block(name, width, 0, width, True, whole))
            continue
        for start in range(0, width, _BLOCK):
            part = slice(start, min(start + _BLOCK, width))
            some = Range(low[part], high[part])
            blocks.append(_Block(name, width, part.start, part.stop, False, some))
    return blocks


def _range_partition(
    batches: Batches, columns: tuple[str, ...], heartbeats: str | None
) -> Iterator[pa.RecordBatch]:
    found: dict[str, Range] = {}
    for batch in _counting(batches, heartbeats, "range"):
        for name in columns:
            values = to_matrix(batch.column(name).drop_null(), name)
            if len(values):
                _merge_range(found, name, range_of(values))
    yield from _range_rows(found)


def _merge_partition(batches: Batches) -> Iterator[pa.RecordBatch]:
    found: dict[str, Range] = {}
    for batch in batches:
        for row in batch.to_pylist():
            _merge_range(found, row["column"], _range_from(row["low"], row["high"]))
    yield from _range_rows(found)


def _merge_range(found: dict[str, Range], name: str, one: Range) -> None:
    """Add ``one`` to what was ``found`` of column ``name``; refuses another width."""
    before = found.get(name, one)
    if len(before.low) != len(one.low):
        raise InputError(
            "feature widths differ",
            where=f"column {name!r}",
            expected=len(before.low),
            found=len(one.low),
        )
    found[name] = merge_ranges(before, one)


def _range_rows(found: Mapping[str, Range]) -> Iterator[pa.RecordBatch]:
    rows = [
        {"column": name, "low": low.tobytes(), "high": high.tobytes()}
        for name, (low, high) in found.items()
    ]
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=arrow_schema(_RANGES))


def _count_partition(
    batches: Batches, blocks: Sequence[_Block], n_bins: int, heartbeats: str | None
) -> Iterator[pa.RecordBatch]:
    found: dict[int, Histogram] = {}
    for batch in _counting(batches, heartbeats, "count"):
        widths = {block.column: block.width for block in blocks}
        matrices = {
            name: to_matrix(batch.column(name).drop_null(), name, d) for name, d in widths.items()
        }
        for i, block in enumerate(blocks):
            one = _histogram(block, matrices[block.column], n_bins)
            found[i] = merge_histograms(found[i], one) if i in found else one
    for i in list(found):
        histogram = found.pop(i)
        state = {
            "block": [i],
            "counts": [histogram.counts.tobytes()],
            "offsets": [histogram.offsets.tobytes()],
        }
        yield pa.RecordBatch.from_pydict(state, schema=arrow_schema(_STATES))


def _histogram(block: _Block, matrix: NDArray[np.float32], n_bins: int) -> Histogram:
    try:
        return histogram_of(block.values(matrix), block.range, n_bins)
    except ValueError as error:
        where = f"column {block.column!r}, from feature {block.start}"
        raise InputError(f"rows changed between two readings: {error}", where=where) from error


def _fit_partition(
    batches: Batches, blocks: Sequence[_Block], n_bins: int, n_levels: int
) -> Iterator[pa.RecordBatch]:
    rows = (row for batch in batches for row in zip(*batch.columns, strict=True))
    for number, states in groupby(rows, key=lambda row: int(row[0].as_py())):
        merged: Histogram | None = None
        for _, *arrays in states:
            shape = (len(blocks[number].range.low), n_bins)
            whole = (np.frombuffer(a.as_buffer(), np.int64).reshape(shape) for a in arrays)
            one = Histogram(blocks[number].range, *whole)
            merged = one if merged is None else merge_histograms(merged, one)
        if merged is not None:
            codebook = fit_lloyd_max(merged, n_levels)
            state = {name: [getattr(codebook, name).tobytes()] for name in _ARRAYS}
            schema = arrow_schema(_CODES)
            yield pa.RecordBatch.from_pydict({"block": [number], **state}, schema=schema)


def _counting(batches: Batches, heartbeats: str | None, reading: str) -> Iterator[pa.RecordBatch]:
    """Slices of ``batches``, counted in ``heartbeats`` apart from those of another reading."""
    context = TaskContext.get()
    key = f"{reading}-{context.partitionId() if context else 0:05d}"
    heartbeat = None if heartbeats is None else Heartbeat(heartbeats, key)
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            yield batch.slice(start, _ROWS_AT_ONCE)
        if heartbeat:
            heartbeat.advance(batch.num_rows)
    if heartbeat:
        heartbeat.flush()


def _range_from(low: bytes, high: bytes) -> Range:
    return Range(np.frombuffer(low, np.float32), np.frombuffer(high, np.float32))


def _codebook_of(row: Row, n_levels: int) -> Codebook:
    """Codebook of the features of one block."""
    return Codebook(
        np.frombuffer(row.levels, np.float32).reshape(-1, n_levels),
        np.frombuffer(row.thresholds, np.float64).reshape(-1, n_levels - 1),
        np.frombuffer(row.bounds, np.float32).reshape(-1, 2),
    )


def _side_by_side(parts: Sequence[Codebook]) -> Codebook:
    return Codebook(*(np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS))
