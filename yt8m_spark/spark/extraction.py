"""Extract features of the frames of many videos: `video.extraction` on Spark (paper §3.3).

A video belongs to a shard by the hash of its id, and a task does one shard. What is finished stays
in the work folder, so that an extraction that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DoubleType,
    IntegerType,
    LongType,
    StructField,
    StructType,
)

from yt8m_spark.spark.arrow import typed_batch
from yt8m_spark.spark.counted import counting
from yt8m_spark.spark.schemas import FLOATS, arrow_schema
from yt8m_spark.spark.storage import absolute, is_remote, open_file
from yt8m_spark.spark.tables import read_table
from yt8m_spark.video.extraction import VideoFile
from yt8m_spark.video.plan import load_plan, load_tools
from yt8m_spark.video.shards import ShardReport, ShardWork

__all__ = ["count_laid_out", "extract_shards", "lay_out_videos", "open_video", "raw_frames"]

_VIDEOS = "videos"  # in the work folder
_REPORT = StructType(
    [
        StructField("shard", IntegerType()),
        StructField("n_videos", LongType()),
        StructField("n_frames", LongType()),
        StructField("n_skipped", LongType()),
        StructField("n_damaged", LongType()),
        StructField("decoding", DoubleType()),
        StructField("network", DoubleType()),
        StructField("total", DoubleType()),
    ]
)


def lay_out_videos(videos: DataFrame, work: str, n_shards: int) -> None:
    """Write ``videos`` (video_id, path, labels) to the folder ``work``, by their shards."""
    shard = F.pmod(F.xxhash64("video_id"), F.lit(n_shards)).cast("int")
    by_shard = videos.select("video_id", "path", "labels", shard.alias("shard"))
    written = by_shard.repartition("shard").write.partitionBy("shard")
    written.mode("overwrite").parquet(str(Path(work).resolve() / _VIDEOS))


def count_laid_out(spark: SparkSession, work: str) -> int:
    """Videos of `lay_out_videos`."""
    return read_table(spark, str(Path(work).resolve() / _VIDEOS)).count()


def extract_shards(
    spark: SparkSession, work: str, n_shards: int, *, heartbeats: str | None = None
) -> list[ShardReport]:
    """Extract the videos of `lay_out_videos` by the plan in ``work``, a task a shard.

    Tasks count videos in the folder ``heartbeats``. The driver gets a row a shard.

    Raises
    ------
    InputError
        In the Spark task, if the network has changed or does not take the images, or a video
        cannot be read. A video at fault is told of in the report.
    """
    work = str(Path(work).resolve())  # tasks may run elsewhere
    numbers = spark.range(0, n_shards, 1, n_shards)
    extract = partial(_extract_partition, work=work, heartbeats=heartbeats)
    rows = numbers.mapInArrow(extract, _REPORT).collect()
    return sorted(ShardReport(**row.asDict()) for row in rows)


def raw_frames(frames: DataFrame, column: str) -> DataFrame:
    """Table of raw frames of one whose ``column`` has float32 as bytes, 4 a number.

    Its field must carry the width: 4 * M for activations of M numbers.
    """
    n_bytes = frames.schema[column].metadata["width"]
    schema = StructType(
        [
            StructField(column, ArrayType(FLOATS)) if field.name == column else field
            for field in frames.schema
        ]
    )
    unpack = partial(_unpack_partition, column=column, width=n_bytes // 4, schema=schema)
    return frames.mapInArrow(unpack, schema)


def _unpack_partition(
    batches: Iterable[pa.RecordBatch], column: str, width: int, schema: StructType
) -> Iterator[pa.RecordBatch]:
    arrow = arrow_schema(schema)
    for batch in batches:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        videos = [np.frombuffer(value.as_py(), "<f4") for value in columns[column]]
        values = pa.array(np.concatenate([np.empty(0, np.float32), *videos]))
        ends = np.cumsum([0, *(len(video) // width for video in videos)], dtype=np.int32)
        starts = np.arange(0, int(ends[-1]) * width + 1, width, dtype=np.int32)
        frames = pa.ListArray.from_arrays(pa.array(starts), values)
        columns[column] = pa.ListArray.from_arrays(pa.array(ends), frames)
        yield typed_batch([columns[field.name] for field in arrow], arrow)


def _extract_partition(
    batches: Iterable[pa.RecordBatch], work: str, heartbeats: str | None
) -> Iterator[pa.RecordBatch]:
    plan = load_plan(work)
    for number in (n for batch in batches for n in batch.column(0).to_pylist()):
        videos = _videos_of(work, number)
        if not videos:
            continue
        shard = ShardWork(work, number, plan, load_tools(plan))
        for _ in counting(shard.run(videos, open_video), heartbeats, lambda _video: 1):
            pass
        report = {name: [value] for name, value in shard.finish()._asdict().items()}
        yield pa.RecordBatch.from_pydict(report, schema=arrow_schema(_REPORT))


def _videos_of(work: str, number: int) -> list[VideoFile]:
    """Videos of a shard, in order of their ids."""
    files = sorted((Path(work) / _VIDEOS / f"shard={number}").glob("*.parquet"))
    rows = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
    videos = (VideoFile(row["video_id"], row["path"], row["labels"] or []) for row in rows)
    return sorted(videos)


def open_video(path: str) -> str | IO[bytes]:
    """What `sample_frames` takes: a file on remote storage, or a local path without a scheme."""
    return open_file(path) if is_remote(path) else absolute(path)
