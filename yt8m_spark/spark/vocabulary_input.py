"""What a vocabulary is built from (paper §3.1): entities, types, ratings and videos, checked."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from yt8m_spark.core.type_tree import TypeTree, build_type_tree
from yt8m_spark.errors import InputError
from yt8m_spark.spark.counted import counted_rows
from yt8m_spark.spark.text_tables import (
    BAD_ROW,
    Fault,
    parts,
    place,
    read_rows,
    refuse_rows,
    texts,
    trim,
    trimmed,
)

__all__ = [
    "Policy",
    "Scores",
    "Videos",
    "count_topics",
    "read_entities",
    "read_scores",
    "read_type_tree",
    "read_videos",
    "stored",
]

Policy = Literal["error", "exclude"]

_TEXT, _TEXTS = StringType(), ArrayType(StringType())
_ENTITIES = StructType(
    [
        StructField("id", _TEXT, nullable=False),
        StructField("name", _TEXT, nullable=False),
        StructField("types", _TEXTS, nullable=False),
        StructField("description", _TEXT),
        StructField("wiki_url", _TEXT),
    ]
)
_TYPES = StructType(
    [
        StructField("type", _TEXT, nullable=False),
        StructField("parent", _TEXT, nullable=False),
        StructField("vertical", _TEXT),
    ]
)
_RATINGS = StructType(
    [StructField(name, _TEXT, nullable=False) for name in ("entity", "rater", "visualness")]
)
_VIDEOS = StructType(
    [
        StructField("video_id", _TEXT, nullable=False),
        StructField("topics", _TEXTS, nullable=False),
    ]
)
_CONTENT = ("name", "types", "description", "wiki_url")
_RATING = r"^[1-5](\.0*)?$"  # Parquet may have them as floating point


class Scores(NamedTuple):
    """Ratings by entity."""

    table: DataFrame  # entity string, n_raters long, visualness double (the mean, 1 to 5)
    n_ratings: int  # without those that say the same twice
    n_repeated: int  # ratings of one rater that came again, counted once


class Videos(NamedTuple):
    """Candidate videos, to count by topic."""

    table: DataFrame  # video_id string, topics array<string>
    n_rows: int
    n_without_id: int  # rows that count for nothing
    n_without_topics: int


def stored(table: DataFrame, folder: str) -> DataFrame:
    """``table``, written to ``folder`` and read again: what follows does not compute it anew."""
    table.write.mode("overwrite").parquet(folder)
    return table.sparkSession.read.parquet(folder)


def read_entities(
    spark: SparkSession, path: str, work: str, *, duplicates: Policy = "error"
) -> DataFrame:
    """Entities at ``path``, one row an id.

    Parameters
    ----------
    spark : SparkSession
    path : str
        Columns ``id, name, types`` and, where there are, ``description`` and ``wiki_url``.
    work : str
        Folder for what is read, which must stay as long as the result is used.
    duplicates : {"error", "exclude"}
        What to do about an id whose rows differ in more than white space and the order of types.
        Rows that say the same count as one.

    Returns
    -------
    DataFrame
        ``entity, name, types array<string> (distinct, sorted), description, wiki_url, n_rows long,
        is_conflict boolean``; a conflict has the least of its rows.

    Raises
    ------
    InputError
        If a column is missing, there are no entities, a row cannot be read or has no id, or rows
        of one id differ and ``duplicates`` is "error".
    """
    rows = read_rows(spark, path, _ENTITIES, multiline=True)
    texts_of = [trimmed(c) if c in rows.columns else F.lit("").alias(c) for c in _CONTENT[2:]]
    clean = rows.select(
        trimmed("id").alias("entity"), trimmed("name"), texts(rows, "types"), *texts_of, BAD_ROW
    )
    faults = {
        "entity without an id": Fault(F.col("entity") == "", "an id", place("name", "description"))
    }
    refuse_rows(clean, path, faults)
    content = F.struct(*_CONTENT)
    least, greatest = F.min(content).alias("least"), F.max(content).alias("greatest")
    grouped = clean.groupBy("entity").agg(least, greatest, F.count("*").alias("n_rows"))
    is_conflict = (F.col("least") != F.col("greatest")).alias("is_conflict")
    entities = grouped.select("entity", "least.*", "n_rows", is_conflict)
    entities = stored(entities, f"{work}/entities")
    if duplicates == "error":
        _refuse_conflicts(entities, path)
    return entities


def read_type_tree(spark: SparkSession, paths: tuple[str, ...]) -> TypeTree:
    """Types of the tables at ``paths``, together one tree; it comes to the driver.

    Columns ``type, parent`` and, where there is, ``vertical``; a row for each parent of a type, an
    empty parent for a root.

    Raises
    ------
    InputError
        If a column is missing, a row cannot be read or has no type, or as
        `core.type_tree.build_type_tree` has it.
    """
    rows: list[tuple[str, str, str]] = []
    for path in paths:
        table = read_rows(spark, path, _TYPES)
        vertical = trimmed("vertical") if "vertical" in table.columns else F.lit("")
        clean = table.select(
            trimmed("type"), trimmed("parent"), vertical.alias("vertical"), BAD_ROW
        )
        no_type = Fault(F.col("type") == "", "a type", place("parent", "vertical"))
        refuse_rows(clean, path, {"row without a type": no_type})
        rows += [(row.type, row.parent, row.vertical) for row in clean.collect()]
    try:
        return build_type_tree(rows)
    except ValueError as error:
        raise InputError(str(error), where=", ".join(paths)) from None


def read_scores(spark: SparkSession, path: str, work: str) -> Scores:
    """Mean visualness of each rated entity (§3.1), from ``entity, rater, visualness``.

    Ratings are whole numbers of 1 to 5. Where one rater rates an entity twice alike, that counts
    once; differently, it is an error: nobody knows which was meant.

    Raises
    ------
    InputError
        If a column is missing, there are no ratings, a row cannot be read or has no entity or
        rater, a rating is not one of 1 to 5, or one rater rates an entity twice, differently.
    """
    rows = read_rows(spark, path, _RATINGS)
    clean = rows.select(*map(trimmed, _RATINGS.names), BAD_ROW)
    told = place(*_RATINGS.names)
    faults = {
        "rating without an entity": Fault(F.col("entity") == "", "an id", told),
        "rating without a rater": Fault(F.col("rater") == "", "a rater", told),
        "bad rating": Fault(
            ~F.col("visualness").rlike(_RATING), "visualness 1, 2, 3, 4 or 5", told
        ),
    }
    n_rows = refuse_rows(clean, path, faults)["n"]
    score = F.col("visualness").cast("double")
    by_rater = clean.groupBy("entity", "rater").agg(
        F.min(score).alias("least"), F.max(score).alias("greatest")
    )
    once = stored(by_rater, f"{work}/ratings")
    n_ratings = _count_ratings(once, path)
    table = once.groupBy("entity").agg(
        F.count("*").alias("n_raters"), F.avg("least").alias("visualness")
    )
    return Scores(table, n_ratings, n_rows - n_ratings)


def read_videos(spark: SparkSession, path: str) -> Videos:
    """Candidate videos at ``path``, ``video_id`` and ``topics``; other columns are ignored.

    Raises
    ------
    InputError
        If a column is missing, there are no videos or a row cannot be read.
    """
    rows = read_rows(spark, path, _VIDEOS)
    clean = rows.select(trimmed("video_id"), parts(rows, "topics"), BAD_ROW)
    without_id = F.col("video_id") == ""
    counted = {
        "n_without_id": without_id,
        "n_without_topics": ~without_id & (F.size("topics") == 0),
    }
    rows_of = refuse_rows(clean, path, {}, counted)
    videos = clean.where(~without_id).drop(BAD_ROW)
    return Videos(videos, rows_of["n"], rows_of["n_without_id"], rows_of["n_without_topics"])


def count_topics(videos: Videos, work: str, heartbeats: str | None = None) -> DataFrame:
    """Distinct videos of each topic: ``topic string, n_videos long``.

    A video that comes in several rows counts once for each topic that any of them names.
    """
    table = videos.table if heartbeats is None else counted_rows(videos.table, heartbeats)
    # Trimmed here, not in the list: Spark has no compiled code for functions of the parts of one.
    exploded = table.select("video_id", F.explode("topics").alias("topic"))
    pairs = exploded.select("video_id", trim(F.col("topic")).alias("topic")).where("topic != ''")
    counts = pairs.groupBy("topic").agg(F.count_distinct("video_id").alias("n_videos"))
    return stored(counts, f"{work}/topics")


def _refuse_conflicts(entities: DataFrame, path: str) -> None:
    conflicts = entities.where("is_conflict")
    row = conflicts.agg(F.count("*").alias("n"), F.min("entity").alias("entity")).collect()[0]
    if row.n:
        raise InputError(
            f"{row.n:,} ids have rows that differ",
            where=path,
            expected="one row an id, or --duplicates exclude",
            found=f"the first {row.entity!r}",
        )


def _count_ratings(by_rater: DataFrame, path: str) -> int:
    """Ratings, one of each rater and entity; refuses second thoughts."""
    differs = F.col("least") != F.col("greatest")
    twice = F.when(differs, F.struct("entity", "rater", "least", "greatest"))
    row = by_rater.agg(
        F.count("*").alias("n"), F.count(twice).alias("n_twice"), F.min(twice).alias("first")
    ).collect()[0]
    if row.n_twice:
        entity, rater, least, greatest = row["first"]
        scores = f"visualness {least:g} and {greatest:g}"
        more = f", and {row.n_twice - 1:,} more" if row.n_twice > 1 else ""
        raise InputError(
            "one rater rates an entity twice, differently",
            where=path,
            expected="one rating of a rater and an entity",
            found=f"entity {entity!r}, rater {rater!r}, {scores}{more}",
        )
    return int(row.n)
