"""What a profile needs to know of each video, in one pass over its features.

Axes: B videos of a batch, F frames, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import (
    ArrayType,
    DataType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from yt8m_spark.core.profile import ODDITIES, frames_oddity, vector_oddities
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import frame_rows, ragged, typed_batch
from yt8m_spark.spark.counted import counted, counting
from yt8m_spark.spark.read_options import ReadOptions
from yt8m_spark.spark.scan import Scan, map_shards, plan_scan
from yt8m_spark.spark.schemas import (
    INTS,
    arrow_schema,
    frame_features,
    known_width,
    require_columns,
    video_features,
)
from yt8m_spark.spark.splits import Source, split_of
from yt8m_spark.spark.statistics import frame_widths
from yt8m_spark.spark.tables import is_table, read_table

__all__ = [
    "FACTS",
    "LISTS_DIFFER",
    "NO_FRAMES",
    "facts_table",
    "feature_widths",
    "read_facts",
    "video_facts",
]

# Flags: <oddity>_<feature list> of `core.profile.ODDITIES`, such as "zero_rgb", and these two.
NO_FRAMES = "no_frames"
LISTS_DIFFER = "lists_differ"  # in the number of frames

FACTS = StructType(
    [
        StructField("video_id", StringType()),
        StructField("split", StringType()),
        StructField("labels", INTS),
        StructField("n_frames", IntegerType()),  # of the longest list; null: not told
        StructField("n_bytes", LongType()),  # of the features: a code is 1, a float 4
        StructField("flags", ArrayType(StringType())),
    ]
)

Ints = NDArray[np.int64]


def read_facts(
    spark: SparkSession, sources: Sequence[Source], *, heartbeats: str | None = None
) -> DataFrame:
    """Facts (`FACTS`) of shards and tables, see `facts_table`.

    Shards are looked at by the tasks that read them: frames never pass through the JVM.
    """
    tables = [_source_facts(spark, source, heartbeats) for source in sources]
    return reduce(DataFrame.union, tables)


def _source_facts(spark: SparkSession, source: Source, heartbeats: str | None) -> DataFrame:
    if is_table(source.path):
        table = read_table(spark, source.path)
        return facts_table(table, source.split, heartbeats=heartbeats)
    task = partial(_shard_facts, split=source.split, heartbeats=heartbeats)
    return map_shards(spark, plan_scan(ReadOptions(source.path)), task, FACTS)


def _shard_facts(
    scan: Scan, number: int, split: str | None, heartbeats: str | None
) -> Iterator[pa.RecordBatch]:
    """Facts of the shards of one partition, each of the split that its name tells."""
    of_frames = scan.layout.level == "frame"
    widths = {name: width if of_frames else 0 for name, width in scan.layout.widths.items()}
    for piece in scan.partitions[number]:
        facts = video_facts(
            scan.batches.read(piece), widths=widths, split=split or split_of(piece.path)
        )
        yield from counting(facts, heartbeats, lambda batch: batch.num_rows)


def facts_table(
    videos: DataFrame, split: str | None = None, *, heartbeats: str | None = None
) -> DataFrame:
    """Facts (`FACTS`) of a frames, videos or features table, one row a video, in one pass.

    Parameters
    ----------
    videos : DataFrame
        Its binary columns are feature lists (n_frames x D uint8), its array<float> columns vectors.
    split : str, optional
        Split of all its videos; by default the column ``shard`` tells (see `split_of`).
    heartbeats : str, optional
        Folder to count finished videos in (see `yt8m_spark.progress`).

    Raises
    ------
    InputError
        If a column is missing or of another type. A video without an id, or whose bytes are no
        whole number of frames, fails the Spark task with one.
    """
    known: dict[str, DataType] = {"video_id": StringType(), "labels": INTS}
    require_columns(videos, known, "table of videos")
    widths = feature_widths(videos)
    others = [name for name in ("n_frames", "shard") if name in videos.columns]
    task = partial(video_facts, widths=widths, split=split)
    return videos.select("video_id", "labels", *others, *widths).mapInArrow(
        counted(task, heartbeats), FACTS
    )


def feature_widths(videos: DataFrame) -> dict[str, int]:
    """Feature lists and vectors of a table, with the width D of a list; 0 for a vector.

    A list that has no frames in any video has the width 0 too.
    """
    widths = dict.fromkeys(video_features(videos.schema), 0)
    for name in frame_features(videos.schema):
        try:
            widths[name] = known_width(videos.schema[name]) or frame_widths(videos, [name])[name]
        except InputError:  # no video has frames of it, which the profile is to tell
            widths[name] = 0
    return widths


def video_facts(
    batches: Iterable[pa.RecordBatch], *, widths: Mapping[str, int], split: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Facts (`FACTS`) of batches of a frames or videos table, a batch for each.

    Parameters
    ----------
    batches : iterable of RecordBatch
        From Spark or straight from a reader of shards: ``video_id``, ``labels``, the columns of
        ``widths`` and, where they are there, ``n_frames`` and ``shard``.
    widths : mapping of str to int
        Columns to look at: D of a binary one, which is frames; of a list, a vector, it is unused.
    split : str, optional
        Split of all videos; by default the column ``shard`` tells.

    Raises
    ------
    InputError
        If an id or an entity is null, or bytes are no whole number of frames.
    """
    for batch in batches:
        yield _facts(batch, widths, split)


def _facts(batch: pa.RecordBatch, widths: Mapping[str, int], split: str | None) -> pa.RecordBatch:
    """Facts of one batch."""
    video_ids = batch.column("video_id")
    if video_ids.null_count:
        raise InputError("null video_id", where="table of videos", expected="an id a video")
    ragged(batch.column("labels"))  # refuses a null entity
    flags: list[list[str]] = [[] for _ in range(batch.num_rows)]
    n_bytes = np.zeros(batch.num_rows, dtype=np.int64)
    lengths = []  # (B,) frames of each list
    for name, width in widths.items():
        column = batch.column(name)
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            codes, sizes, n_frames = _frame_oddities(column, name, width, video_ids)
            lengths.append(n_frames)
        else:
            codes, sizes = _vector_oddities(column)
        n_bytes += sizes
        for row in np.flatnonzero(codes):
            flags[row].append(f"{ODDITIES[codes[row]]}_{name}")
    if lengths:
        _flag_lengths(flags, np.stack(lengths))
    columns = [
        video_ids,
        _splits(batch, split),
        batch.column("labels"),
        _n_frames(batch, lengths),
        pa.array(n_bytes),
        pa.array(flags, pa.list_(pa.string())),
    ]
    schema = arrow_schema(FACTS)
    return typed_batch(columns, schema)


def _frame_oddities(
    column: pa.Array, name: str, width: int, video_ids: pa.Array
) -> tuple[NDArray[np.int8], Ints, Ints]:
    """Codes in `ODDITIES`, bytes and frames (B,) of a feature list."""
    frames, offsets = frame_rows(column, name, width, video_ids)
    codes = np.zeros(len(column), dtype=np.int8)
    for row, (start, stop) in enumerate(pairwise(offsets.tolist())):
        codes[row] = frames_oddity(frames[start:stop])
    n_frames = np.diff(offsets)
    return codes, n_frames * frames.shape[1], n_frames


def _vector_oddities(column: pa.Array) -> tuple[NDArray[np.int8], Ints]:
    """Codes in `ODDITIES` and bytes (B,) of a column of vectors; a null one is empty."""
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    # A null value becomes NaN, and is told as such.
    values = column.drop_null().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return vector_oddities(offsets, values), lengths.astype(np.int64) * values.itemsize


def _flag_lengths(flags: list[list[str]], lengths: Ints) -> None:
    """Add the flags that hang on the frames of each list, ``lengths`` (lists, B)."""
    longest, shortest = lengths.max(axis=0), lengths.min(axis=0)
    for row in np.flatnonzero(longest == 0):
        flags[row].append(NO_FRAMES)
    for row in np.flatnonzero(longest != shortest):
        flags[row].append(LISTS_DIFFER)


def _splits(batch: pa.RecordBatch, split: str | None) -> pa.Array:
    if split is None and "shard" in batch.schema.names:
        return pa.array(map(split_of, batch.column("shard").to_pylist()), pa.string())
    return pa.repeat(pa.scalar(split or split_of(None), pa.string()), batch.num_rows)


def _n_frames(batch: pa.RecordBatch, lengths: list[Ints]) -> pa.Array:
    """Frames of the longest list, counted where there are lists, else as the table says."""
    if lengths:
        return pa.array(np.max(lengths, axis=0))
    if "n_frames" in batch.schema.names:
        return batch.column("n_frames")
    return pa.nulls(batch.num_rows, pa.int32())
