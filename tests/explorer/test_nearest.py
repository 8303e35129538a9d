"""Nearest entities of a model in memory. Models are read and trained elsewhere."""

import numpy as np
import pytest
from model_files import random_model
from sklearn.metrics.pairwise import cosine_similarity

from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.scoring import Scorer
from yt8m_spark.explorer.nearest import nearest_entities


def make_scorer(loss, n_entities=40, n_experts=2):
    family = loss_family(loss, n_experts)
    weights, bias = random_model(family.n_rows, n_entities, 8)
    return Scorer(family, np.arange(n_entities) * 3, weights, bias)


@pytest.mark.parametrize("loss", ["logistic", "hinge", "moe"])
def test_the_nearest_are_those_of_scikit_learn(loss, monkeypatch):
    monkeypatch.setattr("yt8m_spark.explorer.nearest._ROWS", 7)
    scorer = make_scorer(loss)
    vectors = scorer.weights[2:].mean(axis=0) if loss == "moe" else scorer.weights[0]
    cosines = cosine_similarity(vectors.astype(np.float64))
    np.fill_diagonal(cosines, -2)
    nearest = nearest_entities(scorer, 5)
    assert list(nearest) == scorer.entities.tolist()
    for row, found in zip(cosines, nearest.values(), strict=True):
        best = np.argsort(-row)[:5]
        assert [entity for entity, _ in found] == scorer.entities[best].tolist()
        np.testing.assert_allclose([cosine for _, cosine in found], row[best], atol=1e-6)


def test_entities_without_weights_are_near_nobody():
    scorer = make_scorer("logistic", 4)
    weights = scorer.weights.copy()
    weights[:, 1] = 0
    nearest = nearest_entities(scorer._replace(weights=weights), 3)
    assert sorted(nearest) == [0, 6, 9]
    assert all(entity != 3 for found in nearest.values() for entity, _ in found)
    assert {len(found) for found in nearest.values()} == {2}


def test_a_model_of_one_entity_or_of_none_trained():
    scorer = make_scorer("logistic", 1)
    assert nearest_entities(scorer, 3) == {0: []}
    assert nearest_entities(scorer._replace(weights=scorer.weights * 0), 3) == {}


def test_the_model_in_memory_stays_as_it_is():
    scorer = make_scorer("logistic")
    before = scorer.weights.copy()
    scorer.weights.flags.writeable = False
    nearest_entities(scorer, 3)
    np.testing.assert_array_equal(scorer.weights, before)
