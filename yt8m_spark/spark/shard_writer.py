"""Shuffle a features table by the hash of its rows' ids and write it as files of shards.

Axes: V videos of a shard (or frames of them), D features, L labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BinaryType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged
from yt8m_spark.spark.codebooks import (
    dequantize_columns,
    load_codebooks,
    quantize_columns,
    save_codebooks,
)
from yt8m_spark.spark.lloyd_max import fit_codebook
from yt8m_spark.spark.schemas import CODED, FEATURES, arrow_schema, require_columns
from yt8m_spark.spark.shard_files import write_shard
from yt8m_spark.spark.shard_rows import FRAME, row_names, stored_features
from yt8m_spark.spark.vectors import with_float_arrays

__all__ = ["ShardRow", "StoredTable", "shuffled_to_files", "stored_table"]

_WHERE = "features table"


class ShardRow(NamedTuple):
    """What a task tells of a shard that it has written."""

    shard: int
    n_videos: int
    n_features: int
    n_labels: int
    feature_bytes: int
    label_bytes: int
    digest: str  # SHA-256 of ids, labels and features in their order
    n_repeated: int  # rows of an id that was there before
    repeated: str | None  # one such id


# Features, as float32, that a task sorts and writes; and tasks of a small table, for all cores.
_BYTES_A_PARTITION = 64 << 20
_FEWEST_PARTITIONS = 8

_REPORT = StructType(
    [
        StructField("shard", IntegerType()),
        StructField("n_videos", LongType()),
        StructField("n_features", IntegerType()),
        StructField("n_labels", LongType()),
        StructField("feature_bytes", LongType()),
        StructField("label_bytes", LongType()),
        StructField("digest", StringType()),
        StructField("n_repeated", LongType()),
        StructField("repeated", StringType()),
    ]
)


@dataclass(frozen=True)
class StoredTable:
    """A features table whose features are as they are to be stored, or floats."""

    rows: DataFrame  # video_id, labels, features; frame if there is one
    n_rows: int
    n_features: int  # of one row
    n_levels: int  # of the code; 0 for floats


def stored_table(features: DataFrame, folder: str, dtype: str, codebook: str | None) -> StoredTable:
    """``features`` ready to be written as ``dtype``, and its size; a codebook goes to ``folder``.

    Raises
    ------
    InputError
        If the table has the wrong schema or no rows, or codes are not of ``codebook``.
    """
    features = with_float_arrays(features, ["features"])
    coded = _is_coded(features)
    kinds: Any = {field.name: field.dataType for field in FEATURES}
    require_columns(features, kinds | ({"features": BinaryType()} if coded else {}), _WHERE)
    if FRAME in features.columns:
        require_columns(features, {FRAME: IntegerType()}, _WHERE)
    columns = ["video_id", "labels", "features", *[c for c in features.columns if c == FRAME]]
    rows = features.select(*columns)
    n_rows = rows.select("video_id").count()
    if n_rows == 0:
        raise InputError("no videos to train on", where=_WHERE)
    size = F.octet_length("features") if coded else F.size("features")
    one = rows.where("features is not null").select(size.alias("width")).head(1)
    n_features = int(one[0].width) if one else 0
    if one and n_features == 0:
        raise InputError("features are empty", where=_WHERE, expected="one number at least")
    n_levels = 0
    if coded:
        _copy_codebook(features, folder, codebook)
        if dtype == "uint8":
            n_levels = load_codebooks(folder)["features"].n_levels
        else:
            rows = dequantize_columns(rows, folder)
    elif dtype == "uint8":
        save_codebooks(folder, fit_codebook(rows, ["features"]))
        rows = quantize_columns(rows, folder)
        n_levels = load_codebooks(folder)["features"].n_levels
    return StoredTable(rows, n_rows, n_features, n_levels)


def shuffled_to_files(
    table: StoredTable, folder: str, *, n_shards: int, seed: int, dtype: str
) -> list[ShardRow]:
    """Write ``table`` as ``n_shards`` shards to ``folder``; what there is to tell of each.

    Raises
    ------
    InputError
        If rows differ in width, one is there twice, or none has a label. Features that cannot be
        stored fail the Spark task with one.
    """
    ids = [name for name in table.rows.columns if name in ("video_id", FRAME)]
    order = F.xxhash64(*ids, F.lit(seed).cast("bigint"))
    shard = F.pmod(order, F.lit(n_shards)).cast("int")
    write = partial(_write_partition, folder=folder, dtype=dtype, n_levels=table.n_levels)
    written = (
        table.rows.withColumns({"order": order, "shard": shard})
        .repartition(_n_partitions(table, n_shards), "shard")
        .sortWithinPartitions("shard", "order", *ids)
        .mapInArrow(write, _REPORT)
        .collect()
    )
    rows = {row.shard: ShardRow(**row.asDict()) for row in written}
    _check_rows(list(rows.values()))
    width = next(iter(rows.values())).n_features
    # A hash may leave a shard of a small table empty: it is written so, to keep the numbers.
    for number in set(range(n_shards)) - set(rows):
        empty: NDArray[Any] = np.empty((0, width), dtype)
        rows[number] = _write(folder, number, empty, np.empty(0, int), np.empty(0, int), [])
    return [rows[number] for number in range(n_shards)]


def _n_partitions(table: StoredTable, n_shards: int) -> int:
    """Partitions to write ``n_shards`` in: a task each costs more than what it writes."""
    n_bytes = 4 * table.n_rows * table.n_features
    return min(n_shards, max(n_bytes // _BYTES_A_PARTITION, _FEWEST_PARTITIONS))


def _is_coded(features: DataFrame) -> bool:
    return "features" in features.columns and isinstance(
        features.schema["features"].dataType, BinaryType
    )


def _copy_codebook(features: DataFrame, folder: str, codebook: str | None) -> None:
    """Put the codebook of the column ``features`` in ``folder``; refuse another one."""
    if codebook is None:
        raise InputError("features are codes", where=_WHERE, expected="their codebook with them")
    books = load_codebooks(codebook)
    if "features" not in books:
        found = ", ".join(books)
        raise InputError(
            "no codebook of the column", where=codebook, expected="features", found=found
        )
    digest = books["features"].digest
    written = (features.schema["features"].metadata or {}).get(CODED, digest)
    if written != digest:
        raise InputError(
            "column 'features' was written with another codebook",
            where=codebook,
            expected=f"digest {written[:12]}",
            found=digest[:12],
        )
    save_codebooks(folder, {"features": books["features"]})


def _check_rows(rows: list[ShardRow]) -> None:
    widths = sorted({row.n_features for row in rows})
    if len(widths) != 1:
        raise InputError("feature widths differ", where=_WHERE, found=widths)
    n_repeated = sum(row.n_repeated for row in rows)
    if n_repeated:
        named = min(row.repeated for row in rows if row.repeated is not None)
        raise InputError(
            f"{named} is there more than once",
            where=_WHERE,
            expected="each video, or frame of one, in one row",
            found=f"{n_repeated} rows too many",
        )
    if not any(row.n_labels for row in rows):
        raise InputError("no video has a label", where=_WHERE)


def _write_partition(
    batches: Iterable[pa.RecordBatch], folder: str, dtype: str, n_levels: int
) -> Iterator[pa.RecordBatch]:
    """Write the shards of a partition, whose rows come shard by shard and in their order."""
    for number, rows in groupby(_runs(batches), key=itemgetter(0)):
        parts = [batch for _, batch in rows]
        ids = row_names(parts)
        matrix = stored_features(parts, dtype, n_levels)
        offsets, values = ragged(pa.concat_arrays([part.column("labels") for part in parts]))
        row = _write(folder, number, matrix, np.diff(offsets), values, ids)
        report = {name: [value] for name, value in row._asdict().items()}
        yield pa.RecordBatch.from_pydict(report, schema=arrow_schema(_REPORT))


def _runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """``batches`` cut where the shard changes, each piece with its shard's number."""
    for batch in batches:
        numbers = batch.column("shard").to_numpy()
        edges = np.flatnonzero(np.diff(numbers, prepend=-1, append=-1))
        for start, stop in pairwise(edges.tolist()):
            yield int(numbers[start]), batch.slice(start, stop - start)


def _write(
    folder: str,
    number: int,
    matrix: NDArray[Any],
    counts: NDArray[np.integer],
    values: NDArray[np.integer],
    ids: list[str],
) -> ShardRow:
    """Write a shard and describe it."""
    sizes = write_shard(folder, number, matrix, counts, values)
    state = hashlib.sha256(repr(ids).encode())
    for array in (counts, values):
        state.update(np.ascontiguousarray(array, dtype="<i8").data)
    state.update(np.ascontiguousarray(matrix).data)
    # The same id has the same hash, so its rows are in one shard, side by side.
    again = [name for name, before in zip(ids[1:], ids, strict=False) if name == before]
    first = min(again, default=None)
    return ShardRow(
        number,
        matrix.shape[0],
        matrix.shape[1],
        len(values),
        *sizes,
        state.hexdigest(),
        len(again),
        first,
    )
