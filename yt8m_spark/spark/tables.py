"""Read what a job is given: a table, or TFRecord shards."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import BinaryType

from yt8m_spark.errors import InputError
from yt8m_spark.formats.estimate import estimate_records
from yt8m_spark.formats.shards import match_shards
from yt8m_spark.spark.source import read_shards

_PATTERN = re.compile(r"([\[\]{}*?\\])")

__all__ = ["count_videos", "is_frames_table", "read_input", "read_table"]


def read_table(spark: SparkSession, path: str) -> DataFrame:
    """Parquet table at ``path``.

    Raises
    ------
    InputError
        If nothing is at a local ``path``, or no Parquet file; other paths are Spark's to find.
    """
    local = Path(path.removeprefix("file:"))
    if "://" not in path and not local.exists():
        raise InputError("no such table", where=path)
    if local.is_dir() and not any(local.rglob("*.parquet")):
        raise InputError("no table here", where=path, expected="Parquet files", found="none")
    _check_files(sorted(local.rglob("*.parquet")) if local.is_dir() else [local])
    # Spark may stand in another folder than we do, and takes [ ] { } * ? in a path for a pattern.
    return spark.read.parquet(
        path if "://" in path else _PATTERN.sub(r"\\\1", str(local.resolve()))
    )


def read_input(
    spark: SparkSession, source: str, *, level: str = "auto", vocabulary: str | None = None
) -> DataFrame:
    """Table of TFRecord shards (a glob or folder of them) or the Parquet table at ``source``.

    A Parquet table is a ``*.parquet`` file or a folder that has some, in subfolders too where the
    table is partitioned.
    """
    path = Path(source)
    if _is_table(path):
        return read_table(spark, source)
    return read_shards(spark, source, level=level, vocabulary=vocabulary)


def count_videos(spark: SparkSession, source: str) -> int | None:
    """About how many videos `read_input` will give; None if that takes reading them."""
    if _is_table(Path(source)):
        return read_table(spark, source).count()
    return estimate_records(match_shards(source))


def is_frames_table(df: DataFrame) -> bool:
    """Whether ``df`` has frames (a binary column), not video-level features."""
    return any(isinstance(field.dataType, BinaryType) for field in df.schema)


def _is_table(path: Path) -> bool:
    return path.suffix == ".parquet" or (path.is_dir() and any(path.rglob("*.parquet")))


def _check_files(paths: Iterable[Path]) -> None:
    """Refuse a damaged Parquet file here: Spark would tell of it in a page of Java."""
    for path in paths:
        try:
            pq.read_metadata(path)
        except FileNotFoundError:
            continue  # on storage that only Spark sees
        except (OSError, ValueError) as error:
            raise InputError("not a Parquet file", where=str(path), found=error) from None
