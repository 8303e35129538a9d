"""Human ratings of entities in videos (paper §3.5, §5.2.1): majority, agreement, machine labels.

A ratings table has one row a rating: ``video_id string, entity int, rater string, rating``, the
last a boolean or one of yes/no, true/false, 1/0. A majority table has one row a rated pair.

What is not rated is not known: pairs that nobody rated count for neither precision nor recall,
which hold for the pairs that raters were asked about. Asked about machine labels alone, they can
say nothing of recall (it comes out as 1); for the paper's 14.5 % they had to name what they saw.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType

from yt8m_spark.core.agreement import Agreement, Share, agreement, share
from yt8m_spark.errors import InputError
from yt8m_spark.spark.evaluation import Evaluation
from yt8m_spark.spark.prediction_lists import require_distinct
from yt8m_spark.spark.schemas import INTS, require_columns
from yt8m_spark.spark.storage import absolute
from yt8m_spark.spark.tables import read_table

__all__ = [
    "LabelQuality",
    "RatedModel",
    "evaluate_rated",
    "human_labels",
    "label_quality",
    "machine_labels",
    "majority_ratings",
    "rater_agreement",
    "read_ratings",
    "relabelled",
]

_COLUMNS = ("video_id", "entity", "rater", "rating")
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")
_LABELLED: dict[str, DataType] = {"video_id": StringType(), "labels": INTS}
_PATTERN = re.compile(r"([\[\]{}*?\\])")


class RatedModel(NamedTuple):
    """Metrics of one model on the rated videos."""

    human: Mapping[str, float]  # with what raters saw for labels
    machine: Mapping[str, float]  # with the machine labels


class LabelQuality(NamedTuple):
    """Machine labels against the majority of raters, over rated pairs of video and entity."""

    precision: Share  # of the rated machine labels, those that raters confirm
    recall: Share  # of what raters saw, what is a machine label
    n_pairs: int  # rated pairs
    n_machine: int  # of them, machine labels
    n_human: int  # of them, labels by majority
    n_both: int


def read_ratings(
    spark: SparkSession, path: str, entities: Iterable[int] | None = None
) -> DataFrame:
    """Ratings at ``path``, checked: ``video_id, entity int, rater, is_yes boolean``.

    Parameters
    ----------
    spark : SparkSession
    path : str
        Parquet table, or a CSV file (``.csv``, ``.csv.gz``) with header; other columns are ignored.
    entities : iterable of int, optional
        The vocabulary.

    Raises
    ------
    InputError
        If a column is missing, there are no ratings, one is neither yes nor no, has no video or
        rater, an entity is no whole number or not of the vocabulary, or a rater rated a pair twice.
    """
    is_csv = path.lower().endswith((".csv", ".csv.gz"))
    table = _read_csv(spark, path) if is_csv else read_table(spark, path)
    for name in _COLUMNS:
        if name not in table.columns:
            found = ", ".join(table.columns)
            raise InputError(f"no column {name!r} in ratings", where=path, found=found)
    words = table.select(*(F.trim(F.col(c).cast("string")).alias(c) for c in _COLUMNS))
    words = words.withColumn("rating", F.lower("rating"))
    _check(words, path, entities)
    ratings = words.select(
        "video_id",
        F.col("entity").cast("int").alias("entity"),
        "rater",
        F.col("rating").isin(*_YES).alias("is_yes"),
    )
    require_distinct(ratings, ["video_id", "entity", "rater"], path)
    return ratings


def majority_ratings(ratings: DataFrame) -> DataFrame:
    """Majority of each rated pair; a tie is a no: then no majority has seen the entity.

    The paper has three raters, and so no ties.

    Returns
    -------
    DataFrame
        ``video_id, entity int, n_yes long, n_ratings long, is_label boolean``, sorted.
    """
    pairs = ratings.groupBy("video_id", "entity").agg(
        F.sum(F.col("is_yes").cast("long")).alias("n_yes"), F.count("*").alias("n_ratings")
    )
    is_label = (2 * F.col("n_yes") > F.col("n_ratings")).alias("is_label")
    columns = ("video_id", "entity", "n_yes", "n_ratings")
    return pairs.select(*columns, is_label).orderBy("video_id", "entity")


def rater_agreement(majority: DataFrame) -> Agreement:
    """Agreement of the raters; the driver receives one row a kind of outcome, such as 2 of 3."""
    rows = majority.groupBy("n_yes", "n_ratings").agg(F.count("*").alias("n_pairs")).collect()
    counts = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 3)
    return agreement(*counts.T)


def machine_labels(majority: DataFrame, labelled: DataFrame, what: str) -> DataFrame:
    """Machine labels of the rated videos: ``video_id, labels``, from any table of videos.

    Raises
    ------
    InputError
        If a rated video is not in ``labelled``, called ``what``, or comes twice there.
    """
    require_columns(labelled, _LABELLED, what)
    videos = majority.select("video_id").distinct()
    labels = labelled.select("video_id", "labels").join(videos, "video_id", "left_semi")
    require_distinct(labels, ["video_id"], what)
    _require_videos(labels, videos, what)
    return labels


def human_labels(majority: DataFrame) -> DataFrame:
    """Labels of the rated videos by majority, ``video_id, labels``; empty where raters saw none.

    An entity that nobody rated for a video is not a label of it, so a model that ranks it high is
    counted as wrong. That is fair where raters were asked for all that a video shows.
    """
    seen = F.sort_array(F.collect_list(F.when(F.col("is_label"), F.col("entity"))))
    return majority.groupBy("video_id").agg(seen.cast(INTS).alias("labels"))


def label_quality(majority: DataFrame, machine: DataFrame, level: float = 0.95) -> LabelQuality:
    """Precision and recall of machine labels against the majority (§3.5: 78.8 % and 14.5 %).

    Parameters
    ----------
    majority : DataFrame
        As `majority_ratings` gives.
    machine : DataFrame
        As `machine_labels` gives; a null list is an empty one.
    level : float
        Of Wilson's intervals.
    """
    given = F.coalesce(F.array_contains("labels", F.col("entity")), F.lit(False))
    pairs = majority.join(machine, "video_id", "inner").select("is_label", given.alias("is_given"))
    both = F.col("is_label") & F.col("is_given")
    counts = [F.count("*"), _count(F.col("is_given")), _count(F.col("is_label")), _count(both)]
    row = pairs.agg(*(c.alias(f"n_{i}") for i, c in enumerate(counts))).collect()[0]
    n_pairs, n_machine, n_human, n_both = (int(value or 0) for value in row)
    return LabelQuality(
        share(n_both, n_machine, level),
        share(n_both, n_human, level),
        *(n_pairs, n_machine, n_human, n_both),
    )


def relabelled(table: DataFrame, labels: DataFrame, what: str) -> DataFrame:
    """Rows of ``table`` for the videos of ``labels``, with these labels in place of their own.

    Raises
    ------
    InputError
        If a video of ``labels`` is not in ``table``, called ``what``.
    """
    require_columns(table, {"video_id": StringType()}, what)
    _require_videos(table, labels, what)
    return table.drop("labels").join(labels.select("video_id", "labels"), "video_id", "inner")


def evaluate_rated(
    table: DataFrame,
    labels: tuple[DataFrame, DataFrame],
    what: str,
    evaluate: Callable[[DataFrame], Evaluation],
) -> RatedModel:
    """Metrics by both kinds of labels of the rated videos (§5.2.1, Table 4).

    Parameters
    ----------
    table : DataFrame
        What ``evaluate`` takes: predictions, features or frames of the rated videos and others.
    labels : pair of DataFrame
        `human_labels` and `machine_labels`.
    what : str
        What errors call ``table``.
    evaluate : callable
        `evaluate_predictions`, or `evaluate_model` with the model bound.

    Raises
    ------
    InputError
        If a rated video is not in ``table``, or as ``evaluate``.
    """
    human, machine = (evaluate(relabelled(table, given, what)).metrics for given in labels)
    return RatedModel(human, machine)


def _read_csv(spark: SparkSession, path: str) -> DataFrame:
    # Spark takes [ ] { } * ? in a path for a pattern.
    literal = path if "://" in path else _PATTERN.sub(r"\\\1", absolute(path))
    return spark.read.csv(literal, header=True)


def _count(condition: Column) -> Column:
    return F.sum(condition.cast("long"))


def _require_videos(table: DataFrame, videos: DataFrame, what: str) -> None:
    missing = videos.select("video_id").join(table.select("video_id"), "video_id", "left_anti")
    row = missing.agg(F.count("*").alias("n"), F.min("video_id").alias("video_id")).collect()[0]
    if row.n:
        found = f"none for {row.n} rated videos, the first {row.video_id!r}"
        raise InputError("rated video is missing", where=what, expected="all of them", found=found)


def _check(words: DataFrame, path: str, entities: Iterable[int] | None) -> None:
    """Refuse ratings that cannot be used, in one pass; ``words`` are texts."""
    place = F.concat_ws(
        ", ",
        *(F.concat(F.lit(f"{c} "), F.coalesce(c, F.lit("null"))) for c in _COLUMNS),
    )
    entity = F.col("entity")
    is_id = entity.rlike("^[0-9]{1,10}$") & (entity.try_cast("long") < 2**31)
    rating = F.col("rating").isin(*_YES, *_NO)
    faults = {
        "rating without a video": (F.coalesce(F.col("video_id"), F.lit("")) == "", "a video_id"),
        "rating without a rater": (F.coalesce(F.col("rater"), F.lit("")) == "", "a rater"),
        "bad entity id": (~F.coalesce(is_id, F.lit(False)), "a whole number of 0 .. 2**31 - 1"),
        "bad rating": (~F.coalesce(rating, F.lit(False)), "yes or no, true or false, 1 or 0"),
    }
    spoilt = F.contains(place, F.lit("\ufffd"))  # what Spark reads for such bytes
    faults = {"rating is no text": (spoilt, "UTF-8"), **faults}
    if entities is not None:
        unknown = ~entity.try_cast("long").isin([int(e) for e in entities])
        faults["entity is not in the vocabulary"] = (is_id & unknown, "its entities")
    first = [
        F.min(F.when(wrong, place)).alias(f"fault_{i}")
        for i, (wrong, _) in enumerate(faults.values())
    ]
    row = words.agg(F.count("*").alias("n"), *first).collect()[0]
    if not row.n:
        raise InputError("no ratings", where=path, expected="a row a rating", found="none")
    for i, (what, (_, expected)) in enumerate(faults.items()):
        if row[f"fault_{i}"] is not None:
            raise InputError(what, where=path, expected=expected, found=row[f"fault_{i}"])
