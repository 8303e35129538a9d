"""Predictions beside the truth of another table."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType

from yt8m_spark.errors import InputError
from yt8m_spark.spark.schemas import FLOATS, INTS, require_columns

__all__ = ["Matched", "Unmatched", "with_truth"]

Unmatched = Literal["refuse", "ignore"]

_TRUTH: dict[str, DataType] = {"video_id": StringType(), "labels": INTS}
_LISTS: dict[str, DataType] = {"video_id": StringType(), "entities": INTS, "scores": FLOATS}
_EXAMPLES = 3


class Matched(NamedTuple):
    """Predictions with the labels of the truth, and how many videos stood on one side alone."""

    predictions: DataFrame
    n_without_truth: int  # predictions left out
    n_without_predictions: int  # videos evaluated as predicting nothing


def with_truth(
    predictions: DataFrame, truth: DataFrame, *, unmatched: Unmatched = "refuse"
) -> Matched:
    """``predictions`` with the labels of ``truth`` in place of their own.

    What is evaluated are the videos of the truth. Under "ignore", one without predictions predicts
    nothing, and predictions of videos that are not in the truth are left out; Spark joins the two
    tables by video_id, and the driver gets counts.

    Parameters
    ----------
    predictions : DataFrame
        ``video_id, entities, scores``; labels, if there, are not looked at.
    truth : DataFrame
        ``video_id, labels`` and whatever else: a videos, features or frames table.
    unmatched : "refuse" or "ignore"

    Raises
    ------
    InputError
        If a column is missing, a video_id is null or stands twice on either side, or, unless they
        are to be ignored, videos of one side are not on the other: a figure of some of the videos
        looks like one of all.
    """
    require_columns(predictions, _LISTS, "predictions table")
    require_columns(truth, _TRUTH, "truth table")
    sides = _sides(predictions, truth)
    n_faults = {row.fault: row["count"] for row in sides.groupBy("fault").count().collect()}
    for fault, what in (
        ("null", "null video_id"),
        ("predictions twice", "duplicate video_id in predictions"),
        ("truth twice", "duplicate video_id in truth"),
    ):
        if fault in n_faults:
            raise _fault(sides, fault, what, n_faults[fault])
    without_truth, without_predictions = (
        n_faults.get(fault, 0) for fault in ("no truth", "no predictions")
    )
    if unmatched == "refuse" and without_truth:
        what = "videos of the predictions are not in the truth"
        raise _fault(sides, "no truth", what, without_truth, without_predictions)
    if unmatched == "refuse" and without_predictions:
        what = "videos of the truth are not in the predictions"
        raise _fault(sides, "no predictions", what, without_predictions)
    lists = predictions.select("video_id", "entities", "scores")
    joined = truth.select("video_id", "labels").join(lists, "video_id", "left")
    table = joined.select("video_id", "labels", "entities", "scores")
    return Matched(table, without_truth, without_predictions)


def _sides(predictions: DataFrame, truth: DataFrame) -> DataFrame:
    """``video_id`` and ``fault``: what is wrong with the video, null if nothing is."""
    of_predictions = predictions.select("video_id", F.lit(1).alias("p"), F.lit(0).alias("t"))
    of_truth = truth.select("video_id", F.lit(0).alias("p"), F.lit(1).alias("t"))
    both = of_predictions.union(of_truth).groupBy("video_id")
    counts = both.agg(F.sum("p").alias("p"), F.sum("t").alias("t"))
    fault = (
        F.when(F.col("video_id").isNull(), "null")
        .when(F.col("p") > 1, "predictions twice")
        .when(F.col("t") > 1, "truth twice")
        .when(F.col("t") == 0, "no truth")
        .when(F.col("p") == 0, "no predictions")
    )
    return counts.select("video_id", fault.alias("fault"))


def _fault(
    sides: DataFrame, fault: str, what: str, n_videos: int, n_reverse: int = 0
) -> InputError:
    """One line with how many videos have the ``fault``, and the first of them."""
    rows = sides.where(F.col("fault") == fault).orderBy("video_id").limit(_EXAMPLES).collect()
    names = ", ".join(repr(row.video_id) for row in rows)
    more = ", ..." if n_videos > len(rows) else ""
    reverse = f"; and {n_reverse} of the truth have no predictions" if n_reverse else ""
    found = f"{n_videos} ({names}{more}){reverse}"
    if "not in" in what:
        return InputError(what, expected="the same videos, or --unmatched ignore", found=found)
    return InputError(what, expected="each once", found=found)
