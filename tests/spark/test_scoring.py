"""Predictions of a model against brute force. Metrics are tested in test_evaluation.py.

Blocks and ties: tests/core/test_scoring.py. Folders: tests/test_scorer.py. Models of frames:
test_scoring_frames.py.
"""

from itertools import count

import numpy as np
import pytest
from model_files import probabilities, random_model, write_model
from numpy.testing import assert_allclose
from pyspark.errors import PySparkException
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql.types import StructType

from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark import task_models
from yt8m_spark.spark.schemas import FEATURES, PREDICTIONS
from yt8m_spark.spark.scoring import evaluate_model, predict, scorable

D = 4
ENTITIES = [3, 8, 21, 22, 50, 70]


def make_model(folder, loss="logistic", n_experts=2, seed=0, **changes):
    """Folder, weights (R, E, D) and biases (R, E) of a model in two files."""
    weights, bias = random_model(2 * n_experts if loss == "moe" else 1, len(ENTITIES), D, seed)
    more = {"loss": loss, "n_experts": n_experts, "n_files": 2, **changes}
    return write_model(folder, weights, bias, ENTITIES, **more), weights, bias


def make_videos(n=40, seed=1):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, D)).astype(np.float32).tolist()
    labels = [[[3, 22], [], None, [70], [99, 8]][i % 5] for i in range(n)]
    return [(f"v{i:04d}", labels[i], features[i]) for i in range(n)]


def make_table(spark, videos, n_partitions=2):
    return spark.createDataFrame(videos, FEATURES).repartition(n_partitions)


def brute_force(videos, weights, bias, loss="logistic"):
    """Score of each video (row) and entity (column), by the paper's formulas."""
    features = np.array([features for _, _, features in videos], dtype=np.float32)
    return probabilities(features, weights, bias, loss)


def collected(predictions):
    return sorted(
        (row.video_id, row.labels, row.entities, row.scores) for row in predictions.collect()
    )


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A logistic model of random weights."""
    return make_model(tmp_path_factory.mktemp("model"))[0]


@pytest.mark.parametrize(
    ("loss", "n_experts", "n_partitions"),
    [("logistic", 1, 1), ("hinge", 1, 3), ("moe", 2, 2), ("moe", 3, 14)],  # of 14, some are empty
)
def test_scores_equal_brute_force_best_first(spark, tmp_path, loss, n_experts, n_partitions):
    videos = make_videos(11)
    folder, weights, bias = make_model(tmp_path, loss, n_experts)
    expected = brute_force(videos, weights, bias, loss)
    predictions = predict(make_table(spark, videos, n_partitions), folder, 3)
    assert predictions.schema == PREDICTIONS
    found = collected(predictions)
    for (video_id, labels, _), (i, given, entities, scores), row in zip(
        videos, found, expected, strict=True
    ):
        best = np.argsort(-row)[:3]
        assert (i, given) == (video_id, labels)
        assert entities == [ENTITIES[column] for column in best]
        assert_allclose(scores, row[best], rtol=1e-5)


def test_predictions_depend_neither_on_partitions_nor_on_row_order(spark, model):
    videos = make_videos()
    one = collected(predict(make_table(spark, videos, 1), model))
    assert collected(predict(make_table(spark, videos[::-1], 7), model)) == one


def test_a_partition_of_more_videos_than_are_scored_at_once_is_whole(spark, model):
    videos = make_videos(2100)
    found = collected(predict(make_table(spark, videos, 1), model, 1))
    expected = brute_force(videos, *random_model(1, len(ENTITIES), D))
    assert [row[0] for row in found] == [video[0] for video in videos]
    assert_allclose([row[3][0] for row in found], expected.max(axis=1), rtol=1e-5)


def test_ties_go_to_the_smaller_entity_id(spark, tmp_path):
    bias = np.zeros((1, 6), np.float32)
    bias[0, [1, 4]] = np.log(3)  # 8 and 50 score 3/4, the others 1/2
    folder = write_model(tmp_path, np.zeros((1, 6, D), np.float32), bias, ENTITIES)
    row = predict(make_table(spark, make_videos(1)), folder, 5).first()
    assert row.entities == [8, 50, 3, 21, 22]
    assert_allclose(row.scores, [3 / 4, 3 / 4, 1 / 2, 1 / 2, 1 / 2], rtol=1e-6)


def test_more_than_there_are_gives_all_there_are(spark, model):
    row = predict(make_table(spark, make_videos(1)), model, 1000).first()
    assert sorted(row.entities) == ENTITIES


def test_vectors_and_doubles_are_scored_alike(spark, model):
    videos = make_videos(5)
    vectors = [(i, labels, Vectors.dense(features)) for i, labels, features in videos]
    with_vectors = StructType([*FEATURES.fields[:2]]).add("features", VectorUDT())
    with_doubles = "video_id string, labels array<int>, features array<double>"
    expected = collected(predict(make_table(spark, videos), model))
    assert collected(predict(spark.createDataFrame(vectors, with_vectors), model)) == expected
    assert collected(predict(spark.createDataFrame(videos, with_doubles), model)) == expected


def test_a_model_written_over_another_is_read_anew_by_workers(spark, tmp_path):
    table = make_table(spark, make_videos(1), 1)
    found = []
    for entity in (2, 4):
        bias = (np.arange(6) == entity).astype(np.float32)[None]
        folder = write_model(tmp_path, np.zeros((1, 6, D), np.float32), bias, ENTITIES)
        found.append(predict(table, folder, 1).first().entities)
    assert found == [[21], [50]]


def test_a_model_named_relatively_is_found_by_tasks(spark, tmp_path, monkeypatch):
    make_model(tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    table = make_table(spark, make_videos(2))
    assert len(predict(table, tmp_path.name).collect()) == 2
    assert evaluate_model(table, tmp_path.name).n_videos == 2


def test_an_empty_table_gives_no_predictions(spark, model):
    assert predict(make_table(spark, []), model).collect() == []


@pytest.mark.parametrize("width", [D - 1, D + 1])
def test_features_of_another_width_than_the_models_are_refused(spark, model, width):
    table = make_table(spark, [("v", [], [0.0] * width)])
    message = failure(predict(table, model).collect)
    assert message == (
        f"feature width is not the model's in features table, expected {D}, found {width}"
    )


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (None, "null row in column 'features'"),
        ([0.0, 0.0, None, 0.0], "null value in column 'features'"),
        ([0.0, 0.0, 0.0, float("nan")], "value is not finite in column 'features', feature 3"),
    ],
)
def test_nulls_and_nan_fail_the_task_with_the_column(spark, model, features, message):
    table = make_table(spark, [*make_videos(1), ("v", [], features)], 1)
    assert message in failure(predict(table, model).collect)


@pytest.mark.parametrize("name", ["video_id", "labels", "features"])
def test_a_missing_column_is_refused(spark, model, name):
    table = make_table(spark, make_videos(1)).drop(name)
    assert f"no column '{name}' in features table" in failure(lambda: predict(table, model))


def test_a_missing_model_is_refused_before_any_task_runs(spark, tmp_path):
    table = make_table(spark, make_videos(1))
    for call in (predict, evaluate_model):
        with pytest.raises(InputError, match=r"no such file in .*model\.json"):
            call(table, str(tmp_path))


def test_no_predictions_at_all_are_refused(spark, model):
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        predict(make_table(spark, make_videos(1)), model, 0)


@pytest.mark.parametrize("entities", [None, [3, 22, 70]])
def test_an_evaluation_is_that_of_the_brute_force_scores(spark, model, entities):
    videos = make_videos()
    scores = brute_force(videos, *random_model(1, len(ENTITIES), D))
    columns = [i for i, e in enumerate(ENTITIES) if entities is None or e in entities]
    hits, recalls, n_labelled = 0, 0.0, count()
    for (_, labels, _), row in zip(videos, scores, strict=True):
        labels = {e for e in labels or () if entities is None or e in entities}
        if labels:
            next(n_labelled)
            ranked = [ENTITIES[c] for c in sorted(columns, key=lambda c: -row[c])]
            hits += ranked[0] in labels
            recalls += len(labels & set(ranked[: len(labels)])) / len(labels)
    n = next(n_labelled)
    found = evaluate_model(make_table(spark, videos, 3), model, entities=entities)
    assert (found.n_videos, found.n_labelled_videos) == (40, n)
    assert_allclose(found.metrics["hit_at_1"], hits / n)
    assert_allclose(found.metrics["perr"], recalls / n)


def test_a_model_is_checked_without_reading_its_weights(spark, model, monkeypatch):
    def refuse(_folder):
        raise AssertionError("the driver read the weights")

    monkeypatch.setattr(task_models, "load_scorer", refuse)
    assert scorable(make_table(spark, make_videos(1)), model).columns == FEATURES.names


def test_features_too_large_to_score_are_told_of(spark, tmp_path):
    weights = np.zeros((1, 6, D), np.float32)
    weights[:, :, :2] = 2, -2
    folder = write_model(tmp_path, weights, np.zeros((1, 6)), ENTITIES)
    table = make_table(spark, [("v", [], [3e38, 3e38, 0.0, 0.0])])  # inf - inf
    assert "score is not a number" in failure(predict(table, folder).collect)
