"""Which videos there are to extract features from: a folder, a pattern of files, or a table."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from yt8m_spark.artifacts import file_in_place
from yt8m_spark.errors import InputError
from yt8m_spark.formats.shards import shard_name
from yt8m_spark.spark.schemas import INTS
from yt8m_spark.spark.storage import absolute, is_folder, is_remote, match_files
from yt8m_spark.spark.tables import is_table, read_table
from yt8m_spark.spark.text_tables import (
    Fault,
    is_text_table,
    place,
    read_rows,
    refuse_rows,
    texts,
    trimmed,
)

__all__ = ["VIDEO_SUFFIXES", "find_videos", "with_labels"]

# Of the files of a folder; a pattern takes what it matches.
VIDEO_SUFFIXES = (
    *(".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v", ".flv", ".wmv"),
    *(".3gp", ".m2ts", ".mpeg", ".mpg", ".mts", ".ogv", ".ts"),
)
_WHOLE_PATH = r"^(/|[a-zA-Z][a-zA-Z0-9+.-]+:/)"
_ID = StructField("video_id", StringType(), nullable=False)
_PATH = StructField("path", StringType(), nullable=False)
_LABELS = StructField("labels", ArrayType(StringType()))


def find_videos(spark: SparkSession, source: str, work: str) -> DataFrame:
    """Table ``video_id, path, labels`` of the videos that ``source`` means.

    Parameters
    ----------
    spark : SparkSession
    source : str
        A folder, searched with its subfolders for files that end as videos do; a pattern of
        files; or a table (CSV with a header, JSON lines, Parquet). The id of a file is its name
        without the ending. A table has columns ``video_id``, ``path`` (if not absolute, in the
        folder that the table lies in) and, if it likes, ``labels``: an array of whole numbers, in
        a CSV separated by ``|``.
    work : str
        Folder on shared storage; the list of files is written to it.

    Returns
    -------
    DataFrame
        ``labels`` is null where the source has none.

    Raises
    ------
    InputError
        If there are no videos, a row has no id or no path, labels are no whole numbers, or two
        videos have one id.
    """
    if is_text_table(source) or is_table(source):
        videos = _described(spark, source)
    else:
        listed = str(Path(work).resolve() / "files.parquet")
        _write_list(_files(source), listed)
        videos = read_table(spark, listed).select("*", F.lit(None).cast(INTS).alias("labels"))
    _check_ids(videos, source, F.concat_ws(" and ", F.min("path"), F.max("path")))
    return videos


def with_labels(videos: DataFrame, path: str) -> DataFrame:
    """``videos`` with the labels of a table ``video_id, labels`` at ``path``.

    Videos that it does not have get none.

    Raises
    ------
    InputError
        If a column is missing, labels are no whole numbers, a video is there twice, or none of
        the videos is there: the ids would be of another kind.
    """
    columns = StructType([_ID, StructField("labels", _LABELS.dataType, nullable=False)])
    table = read_rows(videos.sparkSession, path, columns)
    refuse_rows(table, path, {**_without("video_id"), **_no_labels(table)})
    given = table.select(trimmed("video_id"), _labels(table).alias("labels"))
    _check_ids(given, path, F.lit(None).cast("string"))
    joined = videos.drop("labels").join(given, "video_id", how="left")
    if not joined.where(F.col("labels").isNotNull()).head(1):
        one = videos.select(F.min("video_id").alias("one")).collect()[0].one
        raise InputError("no video has a row", where=path, expected=f"{one!r}, say")
    return joined.select("video_id", "path", "labels")


def _files(source: str) -> Sequence[str]:
    """Paths of the files that a folder or pattern means."""
    if not is_folder(source):
        return [file.path for file in match_files(source)]
    whole = absolute(source).rstrip("/")
    literal = whole if is_remote(source) else re.sub(r"([*?\[])", r"[\1]", whole)
    try:
        found = [file.path for file in match_files(f"{literal}/**/*")]
    except InputError:  # not a file in it
        found = []
    videos = [path for path in found if PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES]
    if not videos:
        expected = f"files such as *{', *'.join(VIDEO_SUFFIXES[:4])}"
        raise InputError("folder holds no videos", where=source, expected=expected)
    return videos


def _write_list(paths: Sequence[str], listed: str) -> None:
    """Write the list as a file: on Spark Connect a plan could not hold a long one."""
    ids = [PurePosixPath(shard_name(path)).stem for path in paths]
    columns = [pa.array(column, pa.string()) for column in (ids, paths)]
    with file_in_place(Path(listed)) as temporary:
        pq.write_table(pa.table(columns, names=["video_id", "path"]), temporary)


def _described(spark: SparkSession, source: str) -> DataFrame:
    """Videos of a table, their paths absolute."""
    table = read_rows(spark, source, StructType([_ID, _PATH, _LABELS]))
    refuse_rows(table, source, {**_without("video_id"), **_without("path"), **_no_labels(table)})
    folder = source.rpartition("/")[0] if is_remote(source) else os.path.dirname(absolute(source))
    whole = F.when(F.col("path").rlike(_WHOLE_PATH), F.col("path"))
    path = whole.otherwise(F.concat(F.lit(folder.rstrip("/") + "/"), F.col("path")))
    return table.select(trimmed("video_id"), path.alias("path"), _labels(table).alias("labels"))


def _without(column: str) -> dict[str, Fault]:
    missing = trimmed(column) == ""
    return {f"row without {column}": Fault(missing, f"a {column} in each row", F.lit("none"))}


def _no_labels(table: DataFrame) -> dict[str, Fault]:
    wrong = F.exists(_labels(table), lambda label: label.isNull() | (label < 0))
    expected = "whole numbers from 0, in a CSV separated by |"
    return {"labels that are none": Fault(wrong, expected, place("video_id"))}


def _labels(table: DataFrame) -> Column:
    """Labels as numbers, ascending; null for what is no number, or where there is no column."""
    if "labels" not in table.columns:
        return F.lit(None).cast(INTS)
    return F.array_sort(F.transform(texts(table, "labels"), lambda text: text.try_cast("int")))


def _check_ids(table: DataFrame, where: str, told: Column) -> None:
    """Refuse an id that is there twice."""
    counted = table.groupBy("video_id").agg(F.count("*").alias("n"), told.alias("told"))
    row = counted.where("n > 1").orderBy("video_id").head(1)
    if row:
        raise InputError(
            f"video id {row[0].video_id!r} is there {row[0].n} times",
            where=where,
            expected="each id once (a table of video_id and path gives files any ids)",
            found=row[0].told,
        )
