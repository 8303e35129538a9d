"""Predictions put beside the labels of another table. Evaluation itself is tested elsewhere."""

import pytest
from pyspark.sql import functions as F

from yt8m_spark.errors import InputError
from yt8m_spark.spark.evaluation import evaluate_predictions
from yt8m_spark.spark.schemas import PREDICTIONS
from yt8m_spark.spark.truth import with_truth


def predictions_of(spark, *ids):
    return spark.createDataFrame([(v, [9], [1, 2], [0.9, 0.1]) for v in ids], PREDICTIONS)


def truth_of(spark, *ids):
    return spark.createDataFrame(
        [(v, [2], 1.5) for v in ids], "video_id string, labels array<int>, x double"
    )


def test_labels_of_the_truth_replace_those_of_the_predictions(spark):
    matched = with_truth(predictions_of(spark, "a", "b"), truth_of(spark, "b", "a"))
    assert matched.predictions.columns == PREDICTIONS.names
    rows = {row.video_id: row for row in matched.predictions.collect()}
    assert {v: row.labels for v, row in rows.items()} == {"a": [2], "b": [2]}
    assert rows["a"].entities == [1, 2]
    assert matched[1:] == (0, 0)


def test_predictions_need_no_labels_of_their_own(spark):
    lists = predictions_of(spark, "a").drop("labels")
    matched = with_truth(lists, truth_of(spark, "a"))
    assert evaluate_predictions(matched.predictions).metrics["hit_at_5"] == 1


def test_ignored_videos_are_left_out_or_predict_nothing_and_are_counted(spark):
    lists = predictions_of(spark, "a", "x", "y")
    matched = with_truth(lists, truth_of(spark, "a", "b", "c", "d"), unmatched="ignore")
    assert (matched.n_without_truth, matched.n_without_predictions) == (2, 3)
    found = evaluate_predictions(matched.predictions)
    assert found.n_videos == 4
    assert found.metrics["hit_at_5"] == 1 / 4


@pytest.mark.parametrize(
    ("lists", "truth", "message"),
    [
        ("abcxyzw", "abc", "predictions are not in the truth.*found 4 ('w', 'x', 'y', ...)"),
        ("ax", "abc", "found 1 ('x'); and 2 of the truth have no predictions"),
        ("a", "abc", "the truth are not in the predictions.*found 2 ('b', 'c')"),
        ("aab", "ab", "duplicate video_id in predictions, expected each once, found 1 ('a')"),
        ("ab", "abb", "duplicate video_id in truth, expected each once, found 1 ('b')"),
    ],
)
@pytest.mark.parametrize("unmatched", ["refuse", "ignore"])
def test_videos_of_one_side_alone_and_twice_are_one_line(spark, lists, truth, message, unmatched):
    arguments = predictions_of(spark, *lists), truth_of(spark, *truth)
    if unmatched == "ignore" and "duplicate" not in message:
        assert with_truth(*arguments, unmatched=unmatched).predictions.count() == len(truth)
        return
    pattern = message.replace("(", r"\(").replace(")", r"\)").replace("...", r"\.\.\.")
    with pytest.raises(InputError, match=pattern) as raised:
        with_truth(*arguments, unmatched=unmatched)
    assert "\n" not in str(raised.value)


def test_a_video_without_an_id_is_refused(spark):
    nameless = truth_of(spark, "a").withColumn("video_id", F.lit(None).cast("string"))
    with pytest.raises(InputError, match="null video_id"):
        with_truth(predictions_of(spark, "a"), nameless)


def test_a_truth_without_labels_is_refused(spark):
    with pytest.raises(InputError, match="no column 'labels' in truth table"):
        with_truth(predictions_of(spark, "a"), truth_of(spark, "a").drop("labels"))
