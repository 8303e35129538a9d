"""Predictions of a model against brute force. Metrics are tested in test_evaluation.py."""

import json
from itertools import count

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pyspark.errors import PySparkException
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql.types import StructType
from scipy.special import expit, softmax

from yt8m_spark.core.training import BlockState
from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.models import TrainedBlock, write_block
from yt8m_spark.spark.schemas import FEATURES, PREDICTIONS
from yt8m_spark.spark.scoring import evaluate_model, predict

D = 4
ENTITIES = [3, 8, 21, 22, 50, 70]


def write_model(folder, weights, loss="logistic", n_experts=2):
    """Model of ``weights`` (R, E, D + 1) in two blocks, the later entities first."""
    halves = [slice(3, None), slice(0, 3)]
    for i, half in enumerate(halves):
        state = BlockState(weights[:, half], weights[:, half])
        entities = np.array(ENTITIES[half])
        block = TrainedBlock(entities, entities, state, np.zeros((1, len(entities))))
        write_block(folder / "entities" / f"block-{i:05d}.parquet", block, loss)
    described = {"loss": loss, "n_experts": n_experts, "n_features": D, "n_entities": 6}
    (folder / "model.json").write_text(json.dumps(described))
    return str(folder)


def random_weights(n_rows=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, len(ENTITIES), D + 1)).astype(np.float32)


def make_videos(n=40, seed=1):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, D)).astype(np.float32).tolist()
    labels = [[[3, 22], [], None, [70], [99, 8]][i % 5] for i in range(n)]
    return [(f"v{i:04d}", labels[i], features[i]) for i in range(n)]


def make_table(spark, videos, n_partitions=2):
    return spark.createDataFrame(videos, FEATURES).repartition(n_partitions)


def brute_force(videos, weights, loss):
    """Score of each video (row) and entity (column), one at a time, by the paper's formulas."""
    scores = np.empty((len(videos), len(ENTITIES)))
    for v, (_, _, features) in enumerate(videos):
        for e in range(len(ENTITIES)):
            z = weights[:, e].astype(np.float64) @ [*features, 1]
            if loss == "moe":
                gates = softmax([*z[: len(z) // 2], 0])  # the last is the dummy state
                scores[v, e] = gates[:-1] @ expit(z[len(z) // 2 :])
            else:
                scores[v, e] = expit(z[0])
    return scores


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
    return write_model(tmp_path_factory.mktemp("model"), random_weights())


@pytest.mark.parametrize(
    ("loss", "n_rows", "n_partitions"),
    [("logistic", 1, 1), ("hinge", 1, 3), ("moe", 4, 2), ("moe", 6, 14)],  # of 14, some are empty
)
def test_scores_equal_brute_force_best_first(spark, tmp_path, loss, n_rows, n_partitions):
    weights, videos = random_weights(n_rows), make_videos(11)
    folder = write_model(tmp_path, weights, loss, n_experts=n_rows // 2)
    expected = brute_force(videos, weights, loss)
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
    expected = brute_force(videos, random_weights(), "logistic")
    assert [row[0] for row in found] == [video[0] for video in videos]
    assert_allclose([row[3][0] for row in found], expected.max(axis=1), rtol=1e-5)


def test_ties_go_to_the_smaller_entity_id(spark, tmp_path):
    weights = np.zeros((1, 6, D + 1), np.float32)
    weights[0, [1, 4], -1] = np.log(3)  # 8 and 50 score 3/4, the others 1/2
    folder = write_model(tmp_path, weights)
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
    bias = np.zeros((1, 6, D + 1), np.float32)
    found = []
    for entity in (2, 4):
        bias[0, :, -1] = np.arange(6) == entity
        found.append(predict(table, write_model(tmp_path, bias), 1).first().entities)
    assert found == [[21], [50]]


def test_a_model_named_relatively_is_found_by_tasks(spark, tmp_path, monkeypatch):
    write_model(tmp_path, random_weights())
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
    scores = brute_force(videos, random_weights(), "logistic")
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
