"""What the codes of array columns cost, measured in one pass: `core.distortion` on Spark.

Paper: §3.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.types import (
    BinaryType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from yt8m_spark.core.codebooks import linear_code
from yt8m_spark.core.distortion import Distortion, distortion_of, merge_distortions
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import to_matrix
from yt8m_spark.spark.codebooks import cached_codebooks, codebooks_digest, load_codebooks
from yt8m_spark.spark.counted import counting
from yt8m_spark.spark.schemas import FLOATS, arrow_schema, require_columns
from yt8m_spark.spark.vectors import with_float_arrays

__all__ = ["FITTED", "column_distortions"]

FITTED = "lloyd_max"

_FLOATS = ("signal", "squared", "signed", "largest")
_SUMS = (*_FLOATS, "n_clipped")
_STATES = StructType(
    [
        StructField("partition", IntegerType()),
        StructField("column", StringType()),
        StructField("code", StringType()),
        StructField("n_videos", LongType()),
        *(StructField(name, BinaryType()) for name in _SUMS),
    ]
)
Key = tuple[str, str]


def column_distortions(
    df: DataFrame, folder: str, *, heartbeats: str | None = None
) -> dict[str, dict[str, Distortion]]:
    """Errors of each code on each column that ``folder`` has a codebook of, by column and code.

    The codes are ``released``, ``unbiased`` and, of ``folder``, `FITTED`. Each partition gives a
    state of 40 D bytes a code; one task merges them in the order of the partitions, so that a
    given partitioning gives the same bits each time, and the driver receives one.

    Raises
    ------
    InputError
        If a column is missing or there are no rows; rows of another width, nulls and NaN fail the
        Spark task with one.
    """
    folder = str(Path(folder).resolve())
    codebooks = load_codebooks(folder)
    columns = list(codebooks)
    df = with_float_arrays(df, columns)
    require_columns(df, dict.fromkeys(columns, FLOATS), "videos table")
    digest = codebooks_digest(codebooks)
    measure = partial(_measure_partition, folder=folder, digest=digest, heartbeats=heartbeats)
    states = df.select(*columns).mapInArrow(measure, _STATES).repartition(1)
    rows = states.sortWithinPartitions("partition").mapInArrow(_merge_partition, _STATES).collect()
    measured = {row.column for row in rows}
    missing = [name for name in columns if name not in measured]
    if missing:
        raise InputError("no rows to measure", where=f"column {', '.join(missing)}")
    found = {(row.column, row.code): _from_row(row.asDict()) for row in rows}
    codes = ("released", "unbiased", FITTED)
    return {name: {code: found[name, code] for code in codes} for name in columns}


def _measure_partition(
    batches: Iterable[pa.RecordBatch], folder: str, digest: str, heartbeats: str | None
) -> Iterator[pa.RecordBatch]:
    linear = {"released": linear_code(), "unbiased": linear_code(unbiased=True)}
    found: dict[Key, Distortion] = {}
    for batch in counting(batches, heartbeats, lambda batch: batch.num_rows):
        for name, fitted in cached_codebooks(folder, digest).items():
            matrix = to_matrix(batch.column(name).drop_null(), name, fitted.width)
            if not len(matrix):
                continue
            for code, codebook in (linear | {FITTED: fitted}).items():
                _merge(found, (name, code), distortion_of(matrix, codebook))
    yield from _rows(found)


def _merge_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    found: dict[Key, Distortion] = {}
    for batch in batches:
        for row in batch.to_pylist():
            _merge(found, (row["column"], row["code"]), _from_row(row))
    yield from _rows(found)


def _merge(found: dict[Key, Distortion], key: Key, one: Distortion) -> None:
    """Add ``one`` to what was ``found``."""
    before = found.get(key)
    if before is not None and len(before.signal) != len(one.signal):
        raise InputError(
            "feature widths differ",
            where=f"column {key[0]!r}",
            expected=len(before.signal),
            found=len(one.signal),
        )
    found[key] = one if before is None else merge_distortions(before, one)


def _rows(found: Mapping[Key, Distortion]) -> Iterator[pa.RecordBatch]:
    context = TaskContext.get()
    partition = context.partitionId() if context else 0
    rows = [
        {
            "partition": partition,
            "column": column,
            "code": code,
            "n_videos": one.n_videos,
            **{name: getattr(one, name).tobytes() for name in _SUMS},
        }
        for (column, code), one in found.items()
    ]
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=arrow_schema(_STATES))


def _from_row(row: Mapping[str, Any]) -> Distortion:
    signal, squared, signed, largest = (np.frombuffer(row[name], np.float64) for name in _FLOATS)
    n_clipped = np.frombuffer(row["n_clipped"], np.int64)
    return Distortion(row["n_videos"], signal, squared, signed, largest, n_clipped)
