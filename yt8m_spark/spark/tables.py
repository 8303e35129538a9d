"""Read what a job is given: a table, or TFRecord shards."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from yt8m_spark.errors import InputError
from yt8m_spark.formats.estimate import estimate_records
from yt8m_spark.formats.mounted_paths import mounted
from yt8m_spark.manifest import check_manifest
from yt8m_spark.spark.codebooks import CODEBOOK, dequantize_columns
from yt8m_spark.spark.read_options import CORRUPT_RECORD
from yt8m_spark.spark.schemas import frame_features
from yt8m_spark.spark.source import read_shards
from yt8m_spark.spark.storage import is_remote, match_files

_PATTERN = re.compile(r"([\[\]{}*?\\])")

__all__ = [
    "count_videos",
    "estimate_videos",
    "is_frames_table",
    "is_table",
    "read_codes",
    "read_input",
    "read_table",
]


def read_table(spark: SparkSession, path: str) -> DataFrame:
    """Parquet table at ``path``; columns coded as bytes, with their codebook inside, as floats.

    Rows of corrupt records, which a conversion in mode "permissive" keeps, are left out: they hold
    nothing to learn from. ``spark.read.parquet`` shows them.

    Raises
    ------
    InputError
        If nothing is at a local ``path``, or no Parquet file, or a part is missing that the
        table's manifest names; other paths are Spark's to find.
    """
    table, codebook = read_codes(spark, path)
    return table if codebook is None else dequantize_columns(table, codebook)


def read_codes(spark: SparkSession, path: str) -> tuple[DataFrame, str | None]:
    """As `read_table`, but coded columns as the bytes they are, and the folder of their codebook.

    The folder is None if no column is coded.
    """
    table = _stored_table(spark, path)
    if CORRUPT_RECORD in table.columns:
        table = table.where(F.col(CORRUPT_RECORD).isNull())
    codebook = Path(mounted(path)) / CODEBOOK
    return table, str(codebook) if codebook.is_dir() else None


def _stored_table(spark: SparkSession, path: str) -> DataFrame:
    """Table at ``path`` as it is stored."""
    local = Path(mounted(path))
    if "://" not in path and not local.exists():
        raise InputError("no such table", where=path)
    if local.is_dir() and not any(local.rglob("*.parquet")):
        raise InputError("no table here", where=path, expected="Parquet files", found="none")
    check_manifest(local)
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
    if is_table(source):
        return read_table(spark, source)
    return read_shards(spark, source, level=level, vocabulary=vocabulary)


def count_videos(spark: SparkSession, source: str) -> int | None:
    """About how many videos `read_input` will give; None if that takes reading them."""
    if is_table(source):
        return _stored_table(spark, source).count()
    return estimate_videos(source)


def estimate_videos(pattern: str) -> int | None:
    """About how many records the shards of ``pattern`` have; None if that takes reading them."""
    files = match_files(pattern)
    if any(is_remote(file.path) for file in files):
        return None
    return estimate_records([file.path for file in files])


def is_frames_table(df: DataFrame) -> bool:
    """Whether ``df`` has frames (a binary column of no code), not video-level features."""
    return bool(frame_features(df.schema))


def is_table(source: str) -> bool:
    """Whether ``source`` is a Parquet file or a folder of them, not TFRecord shards."""
    path = Path(source)
    if not path.is_dir() or any(path.glob("*.tfrecord*")):
        return path.suffix == ".parquet"
    return any(path.rglob("*.parquet"))


def _check_files(paths: Iterable[Path]) -> None:
    """Refuse a damaged Parquet file here: Spark would tell of it in a page of Java."""
    for path in paths:
        try:
            pq.read_metadata(path)
        except FileNotFoundError:
            continue  # on storage that only Spark sees
        except (OSError, ValueError) as error:
            raise InputError("not a Parquet file", where=str(path), found=error) from None
