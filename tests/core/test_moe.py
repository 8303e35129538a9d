"""Eq. 5-7 on small arrays. The product with x, AdaGrad and blocks are tested in test_training."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime
from scipy.special import expit

from yt8m_spark.core.moe import moe_logit_gradient, moe_loss, moe_probability


def make_problem(n_experts, seed=0, n_videos=5, n_entities=3):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n_videos, 2 * n_experts, n_entities))
    y = (rng.random((n_videos, n_entities)) < 0.5).astype(float)
    return z, y


def test_probability_of_one_expert_by_hand():
    # gate = e^0 / (e^0 + 1) = 1/2, expert = sigmoid(ln 3) = 3/4.
    z = np.array([0.0, np.log(3)]).reshape(1, 2, 1)
    assert_allclose(moe_probability(z), [[3 / 8]])


def test_probability_of_two_experts_by_hand():
    # gates e^ln2, e^0 and the dummy's 1 give 2/4 and 1/4; experts 1/2 and 3/4.
    z = np.array([np.log(2), 0.0, 0.0, np.log(3)]).reshape(1, 4, 1)
    assert_allclose(moe_probability(z), [[2 / 4 * 1 / 2 + 1 / 4 * 3 / 4]])


def test_gradient_of_one_expert_by_hand():
    # p = 3/8 as above; y = 1: dL/dp = -1/p; dp/dw = g (1 - g) u = 3/16; dp/du = g u (1 - u) = 3/32.
    z = np.array([0.0, np.log(3)]).reshape(1, 2, 1)
    expected = np.array([-8 / 3 * 3 / 16, -8 / 3 * 3 / 32]).reshape(1, 2, 1)
    assert_allclose(moe_logit_gradient(z, np.ones((1, 1))), expected)


def test_loss_is_eq_5_of_the_probability():
    z, y = make_problem(2)
    p = moe_probability(z)
    assert_allclose(moe_loss(z, y), -y * np.log(p) - (1 - y) * np.log(1 - p))


@pytest.mark.parametrize("n_experts", [1, 2, 4])  # the sizes tried in §4.3.3
def test_gradient_matches_finite_differences_of_the_log_loss(n_experts):
    z, y = make_problem(n_experts)

    def total_log_loss(flat):
        p = moe_probability(flat.reshape(z.shape))
        return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))  # Eq. 5

    expected = approx_fprime(z.ravel(), total_log_loss, 1e-7).reshape(z.shape)
    assert_allclose(moe_logit_gradient(z, y), expected, rtol=1e-4, atol=1e-5)


def test_open_gate_reduces_to_logistic_regression():
    z, y = make_problem(1)
    z[:, 0] = 50.0
    assert_allclose(moe_logit_gradient(z, y)[:, 1], expit(z[:, 1]) - y, rtol=1e-6)


def test_the_dummy_state_says_no():
    z = np.array([-50.0, 50.0]).reshape(1, 2, 1)  # the expert is sure, but its gate is shut
    assert moe_probability(z)[0, 0] < 1e-20


def test_large_logits_neither_overflow_nor_divide_by_zero():
    z = np.array([500.0, -500.0, 500.0, 500.0]).reshape(1, 4, 1).astype(np.float32)
    gradient = moe_logit_gradient(z, np.zeros((1, 1), np.float32))
    assert np.isfinite(gradient).all()
    assert np.isfinite(moe_loss(z, np.zeros((1, 1)))).all()
    assert np.isfinite(moe_logit_gradient(-z, np.ones((1, 1), np.float32))).all()
