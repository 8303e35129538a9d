"""Softmax on Spark: one block of all entities. Its mathematics: tests/core/test_softmax.py."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import load_scorer
from yt8m_spark.spark.schemas import FEATURES
from yt8m_spark.spark.scoring import evaluate_model, predict
from yt8m_spark.spark.training import Extras, prepare_shards, train_entities

ENTITIES = [2, 5, 40]


@pytest.fixture(scope="module")
def videos(spark):
    """Features table of 60 videos; the feature of the one entity of each is high."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 4))
    features[np.arange(60), np.arange(60) % 3] += 4
    rows = [(f"v{i:03}", [ENTITIES[i % 3]], x.tolist()) for i, x in enumerate(features)]
    return spark.createDataFrame(rows, FEATURES).repartition(2)


def train(spark, data, folder, **changes):
    given = {"loss": "softmax", "options": TrainingOptions(n_epochs=8)} | changes
    return train_entities(spark, data, str(folder / "work"), str(folder / "model"), **given)


def test_all_entities_learn_together_and_share_the_probability(spark, videos, tmp_path):
    data = prepare_shards(videos, str(tmp_path / "data"))
    assert train(spark, data, tmp_path).n_blocks == 1
    scorer = load_scorer(str(tmp_path / "model"))
    assert scorer.family.coupled
    rows = predict(videos, str(tmp_path / "model"), 3).collect()
    assert_allclose([sum(row.scores) for row in rows], 1, rtol=1e-5)
    assert evaluate_model(videos, str(tmp_path / "model")).metrics["hit_at_1"] > 0.9


def test_what_would_part_the_entities_is_refused(spark, videos, tmp_path):
    data = prepare_shards(videos, str(tmp_path / "data"))
    for changes, told in (
        ({"block_size": 2}, "block_size is too small in a training of softmax"),
        ({"entities": np.array([2, 3, 5])}, "1 entities are a label of no video"),
        ({"extras": Extras(extends=str(tmp_path))}, "entities cannot be added"),
    ):
        with pytest.raises(InputError, match=told):
            train(spark, data, tmp_path, **changes)
    with pytest.raises(ValueError, match="tolerance must be 0 for softmax"):
        train(spark, data, tmp_path, options=TrainingOptions(tolerance=0.01))
