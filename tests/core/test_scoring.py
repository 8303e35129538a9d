"""Scores and best entities of a model in memory. Models on storage: tests/test_scorer.py."""

import numpy as np
import pytest
from model_files import probabilities, random_model
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from yt8m_spark.core import scoring
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.scoring import Scorer, score_videos, top_k_videos
from yt8m_spark.errors import InputError


def make_scorer(name, n_entities, n_features=5, n_experts=2, seed=0):
    family = loss_family(name, n_experts)
    weights, bias = random_model(family.n_rows, n_entities, n_features, seed)
    return Scorer(family, np.arange(n_entities) * 3 + 7, weights, bias)


def make_features(n_videos, n_features=5, seed=1):
    return np.random.default_rng(seed).normal(size=(n_videos, n_features)).astype(np.float32)


def by_full_sort(scorer, scores, k):
    """What the rule says: descending score, then ascending entity."""
    rows = [sorted(zip(-row, scorer.entities, strict=True))[:k] for row in scores]
    return [[e for _, e in row] for row in rows], [[-s for s, _ in row] for row in rows]


def of_scores(scores):
    """A scorer whose score of video b and entity e is ``scores[b, e]``, exactly."""
    family = loss_family("logistic")._replace(score=lambda z: z[:, 0])
    weights = np.ascontiguousarray(scores.T)[None]
    return Scorer(family, np.arange(scores.shape[1]) * 2, weights, np.zeros((1, scores.shape[1])))


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 8 videos and 40 logits, so that small arrays have many."""
    monkeypatch.setattr(scoring, "BLOCK_LOGITS", 40)
    monkeypatch.setattr(scoring, "_BLOCK_VIDEOS", 8)


def test_logistic_scores_by_hand():
    weights, bias = np.float32([[[1, 0], [0, 2]]]), np.float32([[0, -1]])
    scorer = Scorer(loss_family("logistic"), np.array([3, 8]), weights, bias)
    assert_allclose(score_videos(scorer, np.float32([[2, 3]])), expit([[2.0, 5.0]]), rtol=1e-6)
    entities, scores = top_k_videos(scorer, np.float32([[2, 3]]), 1)
    assert entities.tolist() == [[8]]
    assert_allclose(scores, expit([[5.0]]), rtol=1e-6)


@pytest.mark.parametrize(("loss", "n_experts"), [("logistic", 1), ("hinge", 1), ("moe", 3)])
@pytest.mark.parametrize("n_videos", [0, 1, 8, 21])
def test_scores_in_blocks_are_those_of_the_formulas(small_blocks, loss, n_experts, n_videos):
    scorer, features = make_scorer(loss, 23, n_experts=n_experts), make_features(n_videos)
    scores = score_videos(scorer, features)
    assert scores.dtype == np.float32
    expected = probabilities(features, scorer.weights, scorer.bias, loss)
    assert_allclose(scores, expected, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("loss", ["logistic", "moe"])
@pytest.mark.parametrize("k", [1, 3, 20, 23, 500])
def test_the_best_are_those_of_a_full_sort(small_blocks, loss, k):
    scorer, features = make_scorer(loss, 23), make_features(21)
    expected_entities, expected_scores = by_full_sort(scorer, score_videos(scorer, features), k)
    entities, scores = top_k_videos(scorer, features, k)
    assert_array_equal(entities, expected_entities)
    assert_array_equal(scores, np.float32(expected_scores))


@pytest.mark.parametrize("k", [1, 2, 7, 30, 60])
@pytest.mark.parametrize("order", ["random", "rising", "falling", "equal", "zero"])
def test_ties_across_blocks_go_to_the_lower_entity(small_blocks, k, order):
    rng = np.random.default_rng(k)
    n = 60
    scores = rng.integers(0, 4, size=(n, n)).astype(np.float32) / 4  # a handful of values
    if order in ("rising", "falling"):
        scores = np.sort(scores, axis=1)[:, :: 1 if order == "rising" else -1]
    elif order in ("equal", "zero"):
        scores[:] = 0.5 if order == "equal" else -0.0
    scorer, videos = of_scores(scores), np.eye(n, dtype=np.float32)
    expected_entities, expected_scores = by_full_sort(scorer, scores, k)
    entities, found = top_k_videos(scorer, videos, k)
    assert_array_equal(entities, expected_entities)
    assert_array_equal(found, np.float32(expected_scores))


def test_no_array_of_more_logits_than_stated_is_made(small_blocks):
    family, seen = loss_family("moe", 2), []

    def score(z):
        seen.append(z.size)
        return family.score(z)

    scorer = make_scorer("moe", 101)._replace(family=family._replace(score=score))
    top_k_videos(scorer, make_features(30), 5)
    score_videos(scorer, make_features(30))
    assert max(seen) <= scoring.BLOCK_LOGITS


def test_a_score_that_is_no_number_is_refused():
    scorer = make_scorer("logistic", 4)
    features = make_features(3)
    features[1, 2] = np.nan
    with pytest.raises(InputError, match="score is not a number, expected features and weights"):
        top_k_videos(scorer, features, 2)


def test_another_width_and_no_best_at_all_are_refused():
    scorer = make_scorer("logistic", 4)
    for call in (score_videos, lambda s, x: top_k_videos(s, x, 1)):
        with pytest.raises(ValueError, match=r"must be \(B, 5\), got \(2, 4\)"):
            call(scorer, np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        top_k_videos(scorer, make_features(1), 0)
