"""From shards to a videos table on storage in one pass: a task reads, takes statistics, writes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from yt8m_spark.spark.counted import counting
from yt8m_spark.spark.parts import finish_table, write_part
from yt8m_spark.spark.scan import Scan, map_shards
from yt8m_spark.spark.schemas import arrow_schema

__all__ = ["write_scan"]

_WRITTEN = StructType([StructField("n_videos", LongType())])


def write_scan(
    spark: SparkSession, scan: Scan, folder: str, *, heartbeats: str | None = None
) -> int:
    """Write what ``scan`` gives to the Parquet table ``folder``, a part a task.

    Neither frames nor statistics pass through the JVM; the driver gets one number.

    Parameters
    ----------
    spark : SparkSession
    scan : Scan
    folder : str
        New, or empty; all tasks must see it.
    heartbeats : str, optional
        Folder to count finished videos in (see `yt8m_spark.progress`).

    Returns
    -------
    int
        Rows of the table.

    Raises
    ------
    InputError
        A bad record fails the Spark task with one.
    """
    path = Path(folder).resolve()
    path.mkdir(parents=True, exist_ok=True)
    task = partial(_write, folder=str(path), heartbeats=heartbeats)
    written = map_shards(spark, scan, task, _WRITTEN)
    n_videos = written.agg(F.sum("n_videos")).collect()[0][0] or 0
    finish_table(path)
    return int(n_videos)


def _write(
    scan: Scan, number: int, folder: str, heartbeats: str | None
) -> Iterator[pa.RecordBatch]:
    """Write one part, called by its number: a task that runs twice writes the same file."""
    batches = counting(scan.read(scan.partitions[number]), heartbeats, lambda batch: batch.num_rows)
    n_videos = write_part(batches, scan.schema, Path(folder) / f"part-{number:05d}.parquet")
    yield pa.RecordBatch.from_pydict({"n_videos": [n_videos]}, schema=arrow_schema(_WRITTEN))
