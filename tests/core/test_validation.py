"""Average precision and loss of a block against brute force. Sums: test_average_precision."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax

from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.validation import BlockValidation

N, D, E = 700, 5, 4


def made(family, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N, D)).astype(np.float32)
    weights = rng.normal(0, 1.5, size=(family.n_rows, E, D)).astype(np.float32)
    bias = rng.normal(-2, 1, size=(family.n_rows, E)).astype(np.float32)
    labels = (rng.random((N, E)) < [0.3, 0.02, 0.5, 0]).astype(np.float32)
    return features, weights, bias, labels


def probability(name, features, weights, bias):
    """Score (N, E) in float64, from the paper's formulas."""
    z = np.einsum("nd,red->nre", features.astype(np.float64), weights) + bias
    if name != "moe":
        return expit(z[:, 0])
    h = z.shape[1] // 2
    with_dummy = np.concatenate([z[:, :h], np.zeros_like(z[:, :1])], axis=1)
    return (softmax(with_dummy, axis=1)[:, :h] * expit(z[:, h:])).sum(axis=1)


def paper_average_precision(scores, y):
    """Eq. 8-10 threshold by threshold: precision times the recall that it adds."""
    rounded = np.rint(scores * 10_000)
    total, recall_above = 0.0, 0.0
    for j in range(10_000, 0, -1):
        above = rounded >= j
        if above.any():
            recall = y[above].sum() / y.sum()
            total += y[above].mean() * (recall - recall_above)
            recall_above = recall
    return total


@pytest.mark.parametrize("name", ["logistic", "moe"])
def test_figures_are_those_of_brute_force(name):
    family = loss_family(name)
    features, weights, bias, labels = made(family)
    p = probability(name, features, weights, bias)
    scores = p.astype(np.float32).astype(np.float64)
    validation = BlockValidation(family, weights, bias)
    validation.add(features, labels)
    assert validation.n_videos == N
    assert_array_equal(validation.n_positives, labels.sum(axis=0))
    expected = [paper_average_precision(scores[:, e], labels[:, e]) for e in range(3)]
    # A score half-way between two thresholds may round either way.
    assert_allclose(validation.average_precision()[:3], expected, rtol=2e-3)
    assert np.isnan(validation.average_precision()[3]), "no positives"
    log_loss = -np.where(labels == 1, np.log(p), np.log1p(-p)).mean(axis=0)
    assert_allclose(validation.mean_loss(), log_loss, rtol=1e-5)


def test_of_hinge_the_loss_is_the_margin_that_is_missing():
    family = loss_family("hinge")
    features, weights, bias, labels = made(family)
    validation = BlockValidation(family, weights, bias)
    validation.add(features, labels)
    margin = (2 * labels - 1) * (features @ weights[0].T + bias[0])
    assert_allclose(validation.mean_loss(), np.maximum(1 - margin, 0).mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("cuts", [(0, 1, 300, N), (0, 0, 256, 512, N)])
def test_portions_make_no_difference(cuts):
    family = loss_family("moe", 1)
    features, weights, bias, labels = made(family)
    whole, parts = (BlockValidation(family, weights, bias) for _ in range(2))
    whole.add(features, labels)
    for start, stop in pairwise(cuts):
        parts.add(features[start:stop], labels[start:stop])
    assert_allclose(parts.average_precision(), whole.average_precision(), rtol=1e-3)
    assert_allclose(parts.mean_loss(), whole.mean_loss(), rtol=1e-6)
    assert_array_equal(parts.n_positives, whole.n_positives)


def test_three_videos_by_hand():
    # Scores .9, .5, .5 with labels 1, 0, 1: AP = 1/2 (1/1 + 2/3), ties share a threshold.
    scores, y = np.array([0.9, 0.5, 0.5]), np.array([[1], [0], [1]], dtype=np.float32)
    features = np.log(scores / (1 - scores)).astype(np.float32)[:, None]
    one, none = np.ones((1, 1, 1), np.float32), np.zeros((1, 1), np.float32)
    validation = BlockValidation(loss_family("logistic"), one, none)
    validation.add(features, y)
    assert_allclose(validation.average_precision(), [(1 + 2 / 3) / 2])
    assert_allclose(validation.mean_loss(), [-np.log(0.9 * 0.5 * 0.5) / 3], rtol=1e-6)


def test_scores_that_round_to_zero_find_nothing():
    one = np.ones((1, 1, 1), np.float32)
    validation = BlockValidation(loss_family("logistic"), one, np.full((1, 1), -20, np.float32))
    validation.add(np.zeros((3, 1), np.float32), np.ones((3, 1), np.float32))
    assert_allclose(validation.average_precision(), [0])
