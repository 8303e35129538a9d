"""Folds and unseen scores of a table. Scores of two stages: tests/core/test_stacking.py."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_files import probabilities, random_model, write_model
from numpy.testing import assert_allclose

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.stacking import fold_of
from yt8m_spark.core.whitening import fit_whitening
from yt8m_spark.errors import InputError
from yt8m_spark.spark.stacking import fit_map, fold_column, unseen_scores

V, D, E, K = 60, 3, 5, 3
IDS = [f"vidéo {i}" for i in range(V)]
FEATURES = np.random.default_rng(0).normal(size=(V, D)).astype(np.float32)
MODELS = [random_model(1, E, D, seed) for seed in range(K)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model for each fold."""
    root = tmp_path_factory.mktemp("models")
    return [write_model(root / str(k), *model, list(range(E))) for k, model in enumerate(MODELS)]


@pytest.fixture(scope="module")
def features(spark, tmp_path_factory):
    """Features table."""
    rows = {"video_id": IDS, "labels": pa.array([[i % E] for i in range(V)], pa.list_(pa.int32()))}
    rows["features"] = pa.array(list(FEATURES), pa.list_(pa.float32()))
    path = tmp_path_factory.mktemp("features") / "table.parquet"
    pq.write_table(pa.table(rows), path)
    return spark.read.parquet(str(path))


def expected_roots(seed):
    """By the formula, a video at a time."""
    rows = {}
    for i, video_id in enumerate(IDS):
        weights, bias = MODELS[fold_of(video_id, K, seed)]
        rows[video_id] = np.sqrt(probabilities(FEATURES[i : i + 1], weights, bias, "logistic")[0])
    return rows


def test_folds_of_a_column_are_those_of_its_ids(features):
    rows = features.select("video_id", fold_column(K, 4).alias("fold")).collect()
    assert {row.video_id: row.fold for row in rows} == {i: fold_of(i, K, 4) for i in IDS}


def test_each_video_is_scored_by_the_model_of_its_fold(features, folders):
    scored = unseen_scores(features.repartition(3), folders, seed=4).toArrow()
    assert sorted(scored["video_id"].to_pylist()) == sorted(IDS)
    expected = expected_roots(4)
    for row in scored.to_pylist():
        assert row["labels"] == [IDS.index(row["video_id"]) % E]
        assert_allclose(row["roots"], expected[row["video_id"]], rtol=1e-4)


def test_the_map_is_the_whitening_of_those_roots(features, folders, tmp_path):
    scored = unseen_scores(features, folders, seed=4)
    found = fit_map(scored, 2, ridge=1.0, work=str(tmp_path / "tiles"))
    expected = fit_whitening(moments_of(np.stack(list(expected_roots(4).values()))), 2, ridge=1.0)
    assert_allclose(found.mean, expected.mean, rtol=1e-5)
    assert_allclose(found.projection, expected.projection, rtol=1e-3, atol=1e-3)


def test_features_of_another_width_are_refused_by_the_task(spark, folders):
    table = spark.createDataFrame(
        [("a", [1], [0.5, 0.5])], "video_id string, labels array<int>, features array<float>"
    )
    with pytest.raises(Exception, match="feature widths differ") as told:
        unseen_scores(table, folders[:1], seed=0).collect()
    assert InputError.__name__ in str(told.value)
