"""Scores of a model in memory. Models on storage are tested in tests/spark."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.scoring import Scorer, score_videos


def test_logistic_scores_by_hand():
    weights = np.float32([[[1, 0, 0], [0, 2, -1]]])  # two entities, two features, bias
    scorer = Scorer(loss_family("logistic"), np.array([3, 8]), weights)
    assert_allclose(score_videos(scorer, np.float32([[2, 3]])), expit([[2.0, 5.0]]), rtol=1e-6)


def test_mixture_scores_equal_each_entity_computed_alone():
    family, rng = loss_family("moe", 2), np.random.default_rng(0)
    weights = rng.normal(size=(4, 3, 6)).astype(np.float32)
    features = rng.normal(size=(700, 5)).astype(np.float32)  # more than are scored at once
    scores = score_videos(Scorer(family, np.arange(3), weights), features)
    x = np.column_stack([features, np.ones(700)])
    for entity in range(3):
        gate1, gate2, expert1, expert2 = (x @ weights[r, entity] for r in range(4))
        total = np.exp(gate1) + np.exp(gate2) + 1
        p = (np.exp(gate1) * expit(expert1) + np.exp(gate2) * expit(expert2)) / total
        assert_allclose(scores[:, entity], p, rtol=1e-4, atol=1e-6)


def test_another_width_is_refused():
    scorer = Scorer(loss_family("logistic"), np.array([0]), np.zeros((1, 1, 4), np.float32))
    with pytest.raises(ValueError, match=r"must be \(B, 3\), got \(2, 4\)"):
        score_videos(scorer, np.zeros((2, 4), np.float32))
