"""Two stages on small arrays. Folders: test_stack; tables: tests/spark; the gain: tests/jobs."""

import hashlib

import numpy as np
import pytest
from model_files import probabilities, random_model
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.scoring import Scorer
from yt8m_spark.core.stacking import (
    Stack,
    check_stack,
    fold_of,
    score_roots,
    score_stack,
    second_features,
)
from yt8m_spark.core.whitening import fit_whitening

D, C = 3, 4
ENTITIES = np.array([2, 5, 6, 9, 30])


def scorer_of(weights, bias, entities, loss):
    return Scorer(loss_family(loss, 2), np.asarray(entities), weights, bias)


def make_stack(weight=0.25, known=(0, 1, 2, 3, 4), second_loss="logistic"):
    rng = np.random.default_rng(0)
    scores = rng.random((50, len(ENTITIES))).astype(np.float32)
    whitening = fit_whitening(moments_of(score_roots(scores)), C)
    rows = 1 if second_loss == "logistic" else 4
    first = scorer_of(*random_model(1, len(ENTITIES), D), ENTITIES, "logistic")
    second = random_model(rows, len(known), C, seed=1)
    return Stack(first, whitening, scorer_of(*second, ENTITIES[list(known)], second_loss), weight)


def by_formula(stack, x, second_loss="logistic"):
    """Scores (B, E) in float64: each line of the docstring, and nothing shared with the code."""
    first = probabilities(x, stack.first.weights, stack.first.bias, "logistic")
    w = stack.whitening
    centred = (np.sqrt(first) - w.mean) @ w.components.T
    # One mean variance is that of all directions over the width; the ridge is a share of it.
    z = centred / np.sqrt(w.eigenvalues + w.ridge * w.total_variance / len(w.mean))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    second = probabilities(z, stack.second.weights, stack.second.bias, second_loss)
    out = first.copy()
    for column, entity in enumerate(stack.second.entities):
        e = list(ENTITIES).index(entity)
        odds = (first[:, e] / (1 - first[:, e])) ** (1 - stack.weight)
        odds *= (second[:, column] / (1 - second[:, column])) ** stack.weight
        out[:, e] = odds / (1 + odds)
    return out


@pytest.mark.parametrize("second_loss", ["logistic", "moe"])
@pytest.mark.parametrize("known", [(0, 1, 2, 3, 4), (1, 3)])
def test_scores_are_those_of_the_formula(second_loss, known):
    stack = make_stack(known=known, second_loss=second_loss)
    x = np.random.default_rng(1).normal(size=(20, D)).astype(np.float32)
    assert_allclose(score_stack(stack, x), by_formula(stack, x, second_loss), rtol=1e-4, atol=1e-6)


def test_an_entity_without_a_second_stage_keeps_its_first_score_to_the_bit():
    x = np.random.default_rng(1).normal(size=(20, D)).astype(np.float32)
    alone, both = (score_stack(make_stack(known=known), x) for known in ((0,), (0, 1)))
    assert_array_equal(alone[:, 2:], both[:, 2:])
    assert (alone[:, 1] != both[:, 1]).all()


def test_weights_of_0_and_1_are_the_first_and_the_second_stage():
    x = np.random.default_rng(2).normal(size=(9, D)).astype(np.float32)
    stack = make_stack(weight=0.0)
    first = probabilities(x, stack.first.weights, stack.first.bias, "logistic")
    assert_allclose(score_stack(stack, x), first, rtol=1e-4)
    z = second_features(first.astype(np.float32), stack.whitening)
    second = probabilities(z, stack.second.weights, stack.second.bias, "logistic")
    assert_allclose(score_stack(make_stack(weight=1.0), x), second, rtol=1e-4)


def test_two_scores_by_hand():
    # sqrt(0.09) = 0.3; and odds of 1/3 and 27 average, at a half, to 3, a score of 3/4.
    assert_allclose(score_roots(np.float32([[0.09]])), [[0.3]], rtol=1e-6)
    flat = np.zeros((1, 2, 1), np.float32)
    first = scorer_of(flat, np.log([[1 / 3, 1.0]]).astype("f4"), [0, 1], "logistic")
    roots = score_roots(np.float32([[0.2, 0.5], [0.5, 0.1]]))
    second = scorer_of(flat, np.log([[27.0, 1.0]]).astype("f4"), [0, 1], "logistic")
    stack = Stack(first, fit_whitening(moments_of(roots), 1), second, 0.5)
    assert_allclose(score_stack(stack, np.ones((1, 1), np.float32)), [[3 / 4, 1 / 2]], rtol=1e-6)


def test_scores_of_0_and_1_stay_within():
    stack = make_stack()
    sure = stack.first._replace(bias=np.float32([[200, -200, 0, 200, -200]]))
    scores = score_stack(stack._replace(first=sure), np.ones((1, D), np.float32))
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()
    assert (scores <= 1).all()
    assert scores[0, 0] > 0.999  # odds of e^16 to the 3/4, whatever the second says
    assert scores[0, 1] < 0.001


def test_folds_hang_on_id_and_seed_alone_and_are_of_about_one_size():
    digits = hashlib.sha256("fold/3/vidéo".encode()).hexdigest()[:15]
    assert fold_of("vidéo", 7, 3) == int(digits, 16) % 7
    folds = np.array([fold_of(f"v{i}", 5) for i in range(2000)])
    # 400 each; the standard deviation is sqrt(2000 * 1/5 * 4/5) = 18.
    assert np.abs(np.bincount(folds, minlength=5) - 400).max() < 4 * 18
    others = np.array([fold_of(f"v{i}", 5, seed=1) for i in range(2000)])
    assert abs((folds == others).mean() - 1 / 5) < 0.04


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight": 1.5}, "weight must be 0 to 1, got 1.5"),
        ({"weight": float("nan")}, "weight must be 0 to 1"),
        ({"whitening": 3}, "of 5 scores to 4 features, got 5 to 3"),
        ({"second": [2, 5, 6, 9, 31]}, "second stage has entities that the first has not"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, words):
    stack = make_stack()
    check_stack(stack)
    if "whitening" in change:
        scores = np.random.default_rng(0).random((50, 5))
        change = {"whitening": fit_whitening(moments_of(scores), change["whitening"])}
    if "second" in change:
        change = {"second": stack.second._replace(entities=np.array(change["second"]))}
    with pytest.raises(ValueError, match=words):
        check_stack(stack._replace(**change))
