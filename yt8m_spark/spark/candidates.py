"""Candidates of a data set: read from any kind of file, each video once (paper §3.2).

A table of candidates has a row a video: ``video_id, views, duration`` (seconds) and ``topics``, the
entities that a video annotation system gives it.
"""

from __future__ import annotations

from typing import NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    FractionalType,
    IntegralType,
    StringType,
    StructField,
    StructType,
)

from yt8m_spark.errors import InputError
from yt8m_spark.spark.text_tables import BAD_ROW, read_rows, texts, trim

__all__ = ["Repeated", "count_repeated", "each_once", "find_repeated", "read_candidates"]

_COLUMNS = StructType(
    [
        StructField("video_id", StringType(), nullable=False),
        StructField("views", StringType(), nullable=False),
        StructField("duration", StringType(), nullable=False),
        StructField("topics", ArrayType(StringType()), nullable=False),
    ]
)


class Repeated(NamedTuple):
    """Ids that come in more than one row."""

    n_ids: int
    n_rows: int  # of all these ids
    n_conflicting: int  # ids whose rows have different topics
    first_conflicting: str | None  # by id


def read_candidates(spark: SparkSession, path: str) -> DataFrame:
    """Candidates at ``path``, a row each, as yet with all that may be wrong with them.

    Parameters
    ----------
    spark : SparkSession
    path : str
        As `spark.text_tables.read_rows` takes it: CSV (topics separated by ``|``), JSON lines or
        Parquet. Topics may be texts or whole numbers.

    Returns
    -------
    DataFrame
        ``video_id string, views double, duration double, topics array<string>, bad_row boolean``.
        A count or duration that is no number is NaN; what is absent is null. Ids and topics are
        without white space around them, topics distinct and sorted.

    Raises
    ------
    InputError
        If there is no such table, or a column is missing or of a type that cannot be read so.
    """
    table = read_rows(spark, path, _COLUMNS)
    _check_types(table.schema, path)
    # Null topics were never looked for; an empty list was looked for and not found.
    topics = F.when(F.col("topics").isNotNull(), texts(table, "topics"))
    return table.select(
        trim(F.col("video_id").cast("string")).alias("video_id"),
        _number("views"),
        _number("duration"),
        topics.alias("topics"),
        F.col(BAD_ROW).isNotNull().alias("bad_row"),
    )


def find_repeated(candidates: DataFrame) -> DataFrame:
    """Ids that come in more than one row: ``video_id, n_rows long, is_conflicting boolean``.

    Rows of one id conflict if their topics differ as sets. One shuffle of ids and 64-bit hashes.
    """
    content = F.xxhash64(F.col("topics").isNull(), "topics")
    rows = candidates.where(_has_id()).select("video_id", content.alias("content"))
    per_id = rows.groupBy("video_id").agg(
        F.count("*").alias("n_rows"), F.min("content").alias("low"), F.max("content").alias("high")
    )
    differ = (F.col("low") != F.col("high")).alias("is_conflicting")
    return per_id.where("n_rows > 1").select("video_id", "n_rows", differ)


def count_repeated(repeated: DataFrame) -> Repeated:
    """Figures of `find_repeated`, which should be a table."""
    conflicting = F.col("is_conflicting")
    row = repeated.agg(
        F.count("*").alias("n_ids"),
        F.coalesce(F.sum("n_rows"), F.lit(0)).alias("n_rows"),
        F.count_if(conflicting).alias("n_conflicting"),
        F.min(F.when(conflicting, F.col("video_id"))).alias("first"),
    ).collect()[0]
    return Repeated(row["n_ids"], row["n_rows"], row["n_conflicting"], row["first"])


def each_once(candidates: DataFrame, repeated: DataFrame) -> DataFrame:
    """``candidates`` with one row for each id of ``repeated``, and ``is_conflicting boolean``.

    Of rows with the same topics the one with the most views stays, then the longest: views only
    grow, so it is the latest. A row whose numbers cannot be read stays only if all are so.
    """
    columns = candidates.columns
    others = candidates.join(repeated, "video_id", "left_anti")
    found = candidates.join(repeated, "video_id", "inner")
    is_good = (F.col("views") >= 0) & (F.col("duration") >= 0) & ~_is_nan("views", "duration")
    best = F.struct(
        F.coalesce(is_good, F.lit(False)).alias("is_good"),
        *(F.col(name) for name in columns if name != "video_id"),
    )
    merged = found.groupBy("video_id").agg(
        F.max(best).alias("best"), F.any_value("is_conflicting").alias("is_conflicting")
    )
    kept = [F.col("video_id") if c == "video_id" else F.col(f"best.{c}") for c in columns]
    once = merged.select(
        *(c.alias(n) for c, n in zip(kept, columns, strict=True)), "is_conflicting"
    )
    return others.withColumn("is_conflicting", F.lit(False)).unionByName(once)


def _check_types(schema: StructType, path: str) -> None:
    """Refuse columns that are of no use in any row: dates, maps, lists of lists."""
    expected = {
        "video_id": "a text",
        "views": "a number",
        "duration": "a number of seconds",
        "topics": "a list of texts or of whole numbers",
    }
    for name, words in expected.items():
        kind = schema[name].dataType
        if not _is_usable(name, kind):
            what, found = f"column {name!r} has the wrong type", kind.simpleString()
            raise InputError(what, where=path, expected=words, found=found)


def _is_usable(name: str, kind: DataType) -> bool:
    if name == "topics":
        part = kind.elementType if isinstance(kind, ArrayType) else kind
        return isinstance(part, StringType) or (part != kind and isinstance(part, IntegralType))
    if name == "video_id":
        return isinstance(kind, StringType | IntegralType)
    return isinstance(kind, StringType | IntegralType | FractionalType)


def _has_id() -> Column:
    return F.coalesce(F.col("video_id"), F.lit("")) != ""


def _number(name: str) -> Column:
    value = F.col(name)
    number = value.try_cast("double")
    return F.when(value.isNotNull(), F.coalesce(number, F.lit(float("nan")))).alias(name)


def _is_nan(first: str, second: str) -> Column:
    return F.isnan(first) | F.isnan(second)
