"""Calibration of scores over partitions. What a map is: tests/core/test_calibration.py."""

import numpy as np
import pytest
from model_files import probabilities, random_model, write_model
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.calibration import save_calibration
from yt8m_spark.core.calibration import (
    ScoreCounts,
    fit_isotonic,
    fit_platt,
    map_scores,
    merge_counts,
    score_buckets,
)
from yt8m_spark.core.scoring import score_videos
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import load_scorer
from yt8m_spark.spark.calibration import fit_calibration
from yt8m_spark.spark.schemas import FEATURES
from yt8m_spark.spark.scoring import evaluate_model, predict

D = 4
ENTITIES = [3, 8, 21, 22, 50, 70]
FIT = {"platt": fit_platt, "isotonic": fit_isotonic}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return write_model(folder, *random_model(1, len(ENTITIES), D), ENTITIES, n_files=2)


@pytest.fixture(scope="module")
def videos():
    """Labels as likely as a quarter of the score's log-odds; 50 is rare and 70 never there."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, D)).astype(np.float32)
    scores = probabilities(features, *random_model(1, len(ENTITIES), D), "logistic")
    odds = 0.25 * np.log(scores / (1 - scores))
    true = rng.random(scores.shape) < 1 / (1 + np.exp(-odds))
    true[:, 4:] = False
    true[np.argsort(scores[:, 4])[-14::2], 4] = True
    labels = [[ENTITIES[e] for e in np.flatnonzero(row)] + [99] for row in true]
    labels[0] += labels[0]  # labels are a set
    labels[1] = None
    return [(f"v{i}", g, f.tolist()) for i, (g, f) in enumerate(zip(labels, features, strict=True))]


def table_of(spark, videos, n_partitions=2):
    return spark.createDataFrame(videos, FEATURES).repartition(n_partitions)


def pairs_of(model, videos):
    """Scores (V, E) as tasks have them, and labels (V, E)."""
    scores = score_videos(load_scorer(model), np.float32([f for _, _, f in videos]))
    return scores, np.array([[e in (g or []) for e in ENTITIES] for _, g, _ in videos])


def counts_of(scores, labels):
    parts = zip(score_buckets(scores).tolist(), labels.tolist(), strict=True)
    return merge_counts(
        [ScoreCounts(*(np.array([v], np.int64) for v in (b, hit, 1))) for b, hit in parts]
    )


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_each_entity_has_the_map_of_its_own_pairs(spark, model, videos, method):
    fitted = fit_calibration(table_of(spark, videos), model, method=method)
    scores, labels = pairs_of(model, videos)
    counts = [counts_of(scores[:, e], labels[:, e]) for e in range(len(ENTITIES))]
    shared = FIT[method](merge_counts(counts[4:]))
    found = fitted.calibration
    assert found.entities.tolist() == ENTITIES
    assert_array_equal(found.maps == 0, labels.sum(axis=0) < 10)
    assert found.n_pooled == 2
    for e, m in enumerate(found.maps.tolist()):
        part = slice(found.offsets[m], found.offsets[m + 1])
        x, y = FIT[method](counts[e]) if m else shared
        assert_allclose(found.x[part], x, rtol=1e-9)
        assert_allclose(found.y[part], y, rtol=1e-9)
    assert fitted.n_videos == 300
    p = scores.astype(np.float64)
    loss = -np.mean(np.where(labels, np.log(p), np.log1p(-p)))
    assert fitted.loss == pytest.approx(loss, rel=1e-3)
    assert fitted.calibrated_loss < 0.8 * loss


@pytest.mark.parametrize("n_partitions", [1, 5, 13])
def test_partitions_change_nothing(spark, model, videos, n_partitions):
    expected = fit_calibration(table_of(spark, videos), model, method="isotonic")
    table = table_of(spark, videos[::-1], n_partitions)
    table = table.union(table.where("video_id = 'nobody'"))  # and empty ones
    found = fit_calibration(table, model, method="isotonic")
    for name in ("entities", "maps", "offsets", "x", "y"):
        assert_array_equal(getattr(found.calibration, name), getattr(expected.calibration, name))


def test_one_entity_with_enough_videos_or_none_at_all(spark, model, videos):
    own = fit_calibration(table_of(spark, videos), model, min_positives=1).calibration
    assert own.maps.tolist() == [1, 2, 3, 4, 5, 0]
    assert own.x[0] == 1, "nothing is known of 70, whose score stays as it is"
    assert own.y[0] == 0
    all_pooled = fit_calibration(table_of(spark, videos), model, min_positives=301).calibration
    assert all_pooled.maps.tolist() == [0] * 6


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_calibrated_model_predicts_and_is_evaluated_by_probabilities(
    spark, model, videos, method, tmp_path, monkeypatch
):
    fitted = fit_calibration(table_of(spark, videos), model, method=method).calibration
    save_calibration(str(tmp_path / "calibration"), fitted, model, 10)
    scores, labels = pairs_of(model, videos)
    expected = np.empty(scores.shape)
    for e, m in enumerate(fitted.maps.tolist()):
        own = tuple(v[fitted.offsets[m] : fitted.offsets[m + 1]] for v in (fitted.x, fitted.y))
        expected[:, e] = map_scores(method, own, scores[:, e].astype(np.float64))
    monkeypatch.chdir(tmp_path)
    table = table_of(spark, videos)
    rows = {
        row.video_id: row for row in predict(table, model, 3, calibration="calibration").collect()
    }
    for (video_id, _, _), row in zip(videos, expected, strict=True):
        best = sorted(zip(-row.astype(np.float32), ENTITIES, strict=True))[:3]
        assert rows[video_id].entities == [e for _, e in best]
        assert_allclose(rows[video_id].scores, [-s for s, _ in best], rtol=1e-6)
    found = evaluate_model(table, model, calibration="calibration", entities=ENTITIES)
    best = [min(zip(-row.astype(np.float32), range(6), strict=True))[1] for row in expected]
    labelled = labels.any(axis=1)
    hits = labels[np.arange(len(labels)), best][labelled]
    assert found.metrics["hit_at_1"] == pytest.approx(hits.mean())
    assert (
        found.metrics["hit_at_1"]
        != evaluate_model(table, model, entities=ENTITIES).metrics["hit_at_1"]
    )


def test_a_calibration_of_another_model_is_refused_before_any_task_runs(
    spark, model, videos, tmp_path
):
    table = table_of(spark, videos)
    fitted = fit_calibration(table, model).calibration
    save_calibration(str(tmp_path / "c"), fitted, model, 10)
    other = write_model(tmp_path / "other", *random_model(1, 6, D, seed=9), ENTITIES)
    for call in (predict, evaluate_model):
        with pytest.raises(InputError, match="calibration is of another model"):
            call(table, other, calibration=str(tmp_path / "c"))
        with pytest.raises(InputError, match=r"no such file in .*calibration\.json"):
            call(table, model, calibration=str(tmp_path))


def test_what_cannot_be_fitted_is_refused(spark, model, videos):
    table = table_of(spark, videos)
    with pytest.raises(ValueError, match="method must be one of platt, isotonic, got 'beta'"):
        fit_calibration(table, model, method="beta")
    with pytest.raises(ValueError, match="min_positives must be at least 1, got 0"):
        fit_calibration(table, model, min_positives=0)
    with pytest.raises(InputError, match="nothing to fit a calibration on, expected videos"):
        fit_calibration(table.limit(0), model)
    with pytest.raises(InputError, match="no column 'labels'"):
        fit_calibration(table.drop("labels"), model)
