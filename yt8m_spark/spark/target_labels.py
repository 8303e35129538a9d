"""Labels of another dataset (paper §5.3, §5.4) as a table, checked and laid over its frames."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from yt8m_spark.errors import InputError
from yt8m_spark.formats.target_labels import SPLITS, LabelledVideo, split_name
from yt8m_spark.spark.counted import counted_rows
from yt8m_spark.spark.schemas import INTS, arrow_schema

__all__ = [
    "LabelCounts",
    "check_labels",
    "count_once",
    "label_frames",
    "labels_of_table",
    "write_target_labels",
]

_TARGET_LABELS = StructType(
    [
        StructField("video_id", StringType()),
        StructField("labels", INTS),
        StructField("split", StringType()),
        StructField("place", StringType()),  # file and line
    ]
)
_COLUMNS = {
    "video_id": ("string",),
    "labels": ("array<int>", "array<bigint>"),
    "split": ("string",),
}
_ROWS_AT_ONCE = 100_000
_WORDS = 50  # different ones of a column of splits that are looked at


class LabelCounts(NamedTuple):
    """What a table of labels holds."""

    labelled: dict[str, int]  # videos with a label, by split
    n_unlabelled: int  # videos without one
    n_repeated: int  # rows that say again what another one says
    n_conflicting: int  # videos whose rows say different things


def write_target_labels(videos: Iterable[LabelledVideo], path: str) -> None:
    """Write ``videos`` to the Parquet file ``path``, some at a time."""
    schema = arrow_schema(_TARGET_LABELS)
    with pq.ParquetWriter(path, schema) as writer:
        waiting = iter(videos)
        while some := list(islice(waiting, _ROWS_AT_ONCE)):
            columns = [pa.array(column) for column in zip(*some, strict=True)]
            cast = [c.cast(field.type) for c, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(cast, schema=schema))


def labels_of_table(
    table: DataFrame, where: str, known: NDArray[np.int64] | None = None
) -> DataFrame:
    """Labels as `write_target_labels` has them, from a table of video_id, labels and split.

    ``known`` are the labels that may come, ``where`` stands in messages.

    Raises
    ------
    InputError
        If a column is missing or of another type, a row has no video id, a label is not one of
        ``known`` or no number of 0 .. 2**31 - 1, or a split has an unknown name.
    """
    _check_columns(table, where)
    words = [row.split for row in table.select("split").distinct().limit(_WORDS).collect()]
    splits = {word: split_name(word or "") for word in words}
    unknown = [word for word, split in splits.items() if split is None]
    if unknown:
        expected = " or ".join(SPLITS)
        raise InputError("no such split", where=where, expected=expected, found=unknown[0])
    _check_rows(table, where, known)
    split = F.create_map(*(F.lit(text) for pair in splits.items() for text in pair))[F.col("split")]
    labels = F.array_sort(F.array_distinct(F.coalesce("labels", F.array()))).cast(INTS)
    return table.select(
        "video_id", labels.alias("labels"), split.alias("split"), F.lit(where).alias("place")
    )


def check_labels(labels: DataFrame, *, conflicts: str = "refuse") -> tuple[DataFrame, LabelCounts]:
    """Rows of ``labels`` that have a label, each video once, and what was counted.

    Parameters
    ----------
    labels : DataFrame
        Of `write_target_labels` or `labels_of_table`.
    conflicts : str
        "refuse" or "drop" a video whose rows differ: in one split it may be learned from and in
        another be tested on.

    Raises
    ------
    InputError
        If there is such a video and it is not to be dropped; it names both rows.
    """
    said = F.struct("labels", "split")
    videos = labels.groupBy("video_id").agg(
        F.count(F.lit(1)).alias("n_rows"),
        F.count_distinct(said).alias("n_said"),
        F.min("place").alias("first"),
        F.max("place").alias("last"),
        F.first("labels").alias("labels"),
        F.first("split").alias("split"),
    )
    agreed = F.col("n_said") == 1
    labelled = agreed & (F.size("labels") > 0)
    counted = videos.agg(
        *(F.count_if(labelled & (F.col("split") == name)).alias(name) for name in SPLITS),
        F.count_if(agreed & (F.size("labels") == 0)).alias("n_unlabelled"),
        F.sum(F.when(agreed, F.col("n_rows") - 1)).alias("n_repeated"),
        F.count_if(~agreed).alias("n_conflicting"),
        F.min(F.when(~agreed, F.struct("video_id", "first", "last"))).alias("conflict"),
    )
    found = counted.collect()[0].asDict()
    if conflicts == "refuse" and found["conflict"] is not None:
        video_id, first, last = found["conflict"]
        raise InputError(
            f"video {video_id} comes twice, with other labels or in another split",
            where=first,
            expected="one row a video, or --conflicts drop",
            found=f"{last} as well",
        )
    counts = LabelCounts(
        {name: found[name] for name in SPLITS},
        *(found[name] or 0 for name in LabelCounts._fields[1:]),
    )
    return videos.where(labelled).select("video_id", "labels", "split"), counts


def label_frames(frames: DataFrame, labels: DataFrame, folder: str, *, heartbeats: str) -> int:
    """Write the videos of ``frames`` that have labels to ``folder``, one pass for all splits.

    ``<folder>/split=<name>`` is a table like ``frames``, with the labels and splits of ``labels``.
    Tasks count the videos that they read in the folder ``heartbeats``.

    Returns
    -------
    int
        Videos of ``frames``, with labels and without.
    """
    read = Observation()
    videos = counted_rows(frames, heartbeats).observe(read, F.count(F.lit(1)).alias("n_videos"))
    kept = [name for name in frames.columns if name not in ("labels", "split")]
    joined = videos.select(*kept).join(labels, "video_id")
    order = [name for name in frames.columns if name != "split"]
    joined.select(*order, "split").write.partitionBy("split").parquet(folder)
    return int(read.get["n_videos"])


def count_once(videos: DataFrame, where: str) -> int:
    """Videos of a table; ``where`` it came from stands in the message.

    Raises
    ------
    InputError
        If a video is there twice: it would weigh twice in all that is learned and measured.
    """
    ids = videos.groupBy("video_id").count()
    counted = ids.agg(
        F.count(F.lit(1)).alias("n_videos"),
        F.min(F.when(F.col("count") > 1, F.struct("video_id", "count"))).alias("repeated"),
    )
    n_videos, repeated = counted.collect()[0]
    if repeated is not None:
        video_id, n_rows = repeated
        what = f"video {video_id} comes {n_rows} times"
        raise InputError(what, where=where, expected="each video once")
    return int(n_videos)


def _check_rows(table: DataFrame, where: str, known: NDArray[np.int64] | None) -> None:
    """Refuse rows without a video id, and unknown labels."""
    nameless = table.where(F.col("video_id").isNull() | (F.trim("video_id") == "")).first()
    if nameless is not None:
        found = f"labels {nameless.labels}, split {nameless.split}"
        raise InputError("no video id", where=where, expected="an id in each row", found=found)
    allowed = None if known is None else known.tolist()

    def wrong(n: Column) -> Column:
        outside = n.isNull() | (n < 0) | (n > 2**31 - 1)
        return outside if allowed is None else outside | ~n.isin(allowed)

    unknown = F.filter("labels", wrong)
    bad = table.where(F.size(unknown) > 0).select("video_id", unknown.alias("labels")).first()
    if bad is not None:
        expected = "a number from 0" if allowed is None else f"one of {len(allowed)} classes"
        what = f"unknown label of video {bad.video_id}"
        raise InputError(what, where=where, expected=expected, found=bad.labels[0])


def _check_columns(table: DataFrame, where: str) -> None:
    found = {f.name: f.dataType.simpleString() for f in table.schema}
    for name, kinds in _COLUMNS.items():
        if found.get(name) not in kinds:
            raise InputError(
                f"no column {name} of labels",
                where=where,
                expected=f"{name} {' or '.join(kinds)}",
                found=", ".join(f"{column} {kind}" for column, kind in found.items()),
            )
