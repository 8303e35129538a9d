"""Softmax on small arrays, and its training. Spark and models on storage are tested elsewhere."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime
from sklearn.linear_model import LogisticRegression

from yt8m_spark.core.block_state import initial_state, prior_probability
from yt8m_spark.core.label_noise import check_label_noise
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.scoring import BLOCK_LOGITS, Scorer, score_videos, top_k_videos
from yt8m_spark.core.softmax import softmax_logit_gradient, softmax_loss, softmax_probability
from yt8m_spark.core.training import BlockTrainer
from yt8m_spark.core.training_options import TrainingOptions

SOFTMAX = loss_family("softmax")
LABELS = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 0], [0, 1, 0]], float)  # one, two, no label


def logits(seed=0, shape=(4, 1, 3)):
    return np.random.default_rng(seed).normal(size=shape) * 3


def test_probabilities_by_hand():
    z = np.log([[[1.0, 2, 5]]])
    assert_allclose(softmax_probability(z), [[1 / 8, 2 / 8, 5 / 8]])


def test_the_loss_by_hand_shares_the_labels_of_a_video():
    z = np.log([[[1.0, 2, 5]]]).repeat(4, axis=0)
    expected = -np.log([1 / 8, np.sqrt(1 / 8 * 5 / 8), 1, 2 / 8])
    assert_allclose(softmax_loss(z, LABELS).sum(axis=1), expected)


def test_the_gradient_matches_finite_differences():
    z = logits()
    numeric = approx_fprime(
        z.ravel(), lambda flat: softmax_loss(flat.reshape(z.shape), LABELS).sum(), 1e-7
    )
    gradient = softmax_logit_gradient(z.copy(), LABELS)
    assert_allclose(gradient, numeric.reshape(z.shape), rtol=1e-4, atol=1e-6)


def test_large_logits_do_not_overflow():
    z = np.array([[[800.0, -800.0, 0]]], np.float32)
    assert_allclose(softmax_loss(z, np.array([[0, 1, 0]], np.float32)), [[0, 1600, 0]])
    assert_allclose(softmax_probability(z), [[1, 0, 0]])


def trained(x, y, options, positive_weights=None):
    """Weights (E, D) and biases (E,) of a softmax that was trained on x (V, D) and y (V, E)."""
    n_videos, n_features = x.shape
    prior = prior_probability(y.sum(axis=0).astype(int), n_videos)
    state = initial_state(SOFTMAX, np.arange(y.shape[1]), n_features, options, prior, n_videos)
    trainer = BlockTrainer(state, SOFTMAX, options, n_videos, positive_weights)
    while not trainer.done:
        trainer.feed(x, y)
        trainer.end_pass()
    weights = trainer.state.final_weights()[0]
    return weights[:, :-1], weights[:, -1]


def problem(n_videos=64, n_features=4, n_entities=3):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n_videos, n_features)).astype(np.float32)
    entity = (x[:, :n_entities] + 0.7 * rng.normal(size=(n_videos, n_entities))).argmax(axis=1)
    return x, np.eye(n_entities, dtype=np.float32)[entity], entity


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 4.0]])
def test_training_ends_where_multinomial_regression_has_its_optimum(weights):
    x, y, entity = problem()
    l2 = 0.05
    options = TrainingOptions(
        learning_rate=0.2, batch_size=64, n_epochs=1500, l2=l2, accumulator_videos=0
    )
    positive = None if weights is None else np.array(weights, np.float32)
    coef, bias = trained(x, y, options, positive)
    of_video = np.ones(3) if weights is None else np.array(weights)
    # scikit-learn minimizes C · sum of losses + ½|w|²; ours is the mean loss + l2 · ½|w|².
    expected = LogisticRegression(C=1 / (l2 * len(x)), tol=1e-10, max_iter=5000)
    expected.fit(x, entity, sample_weight=of_video[entity])
    assert_allclose(coef, expected.coef_, atol=2e-3)
    assert_allclose(bias - bias.mean(), expected.intercept_ - expected.intercept_.mean(), atol=5e-3)


def test_an_entity_is_not_trained_without_the_others():
    with pytest.raises(ValueError, match=r"tolerance must be 0 for softmax.* got 0\.1"):
        trained(*problem()[:2], TrainingOptions(tolerance=0.1))


def test_label_noise_is_refused():
    with pytest.raises(ValueError, match="expected none, found missing"):
        check_label_noise("softmax", "missing")


@pytest.mark.parametrize(
    ("n_videos", "n_entities"),
    # One block; several of videos; entities that fill more than a block of themselves.
    [(150, 3), (150, BLOCK_LOGITS // 100), (2, BLOCK_LOGITS + 5)],
)
def test_scores_share_1_over_all_entities_however_many(n_videos, n_entities):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(1, n_entities, 2)).astype(np.float32)
    bias = rng.normal(size=(1, n_entities)).astype(np.float32)
    scorer = Scorer(SOFTMAX, np.arange(n_entities) * 2, weights, bias)
    features = rng.normal(size=(n_videos, 2)).astype(np.float32)
    z = features.astype(float) @ weights[0].T + bias
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    scores = score_videos(scorer, features)
    assert_allclose(scores, expected, rtol=1e-4, atol=1e-9)
    entities, best = top_k_videos(scorer, features, 2)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :2]
    assert (entities == order * 2).all()
    assert_allclose(best, np.take_along_axis(scores, order, axis=1))
