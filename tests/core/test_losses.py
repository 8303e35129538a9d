"""Logistic and hinge families; the mixture is tested in test_moe, training in test_training."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime

from yt8m_spark.core.losses import LOSSES, loss_family


def logits(*values):
    return np.array(values, dtype=float).reshape(-1, 1, 1)


def labels(*values):
    return np.array(values, dtype=float).reshape(-1, 1)


def test_logistic_loss_and_gradient_by_hand():
    family = loss_family("logistic")
    z, y = logits(0, np.log(3)), labels(1, 0)  # sigmoid 1/2 and 3/4
    assert_allclose(family.loss(z, y), [[np.log(2)], [np.log(4)]])
    assert_allclose(family.logit_gradient(z, y).ravel(), [1 / 2 - 1, 3 / 4])


def test_hinge_loss_and_gradient_by_hand():
    family = loss_family("hinge")
    z, y = logits(0.25, 2, 0.25, -2), labels(1, 1, 0, 0)  # margin b = 1 (§4.3.2)
    assert_allclose(family.loss(z, y).ravel(), [0.75, 0, 1.25, 0])
    assert_array_equal(family.logit_gradient(z, y).ravel(), [-1, 0, 1, 0])


def test_hinge_at_the_corner_takes_no_step():
    assert loss_family("hinge").logit_gradient(logits(1), labels(1)).item() == 0


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_matches_finite_differences(name):
    family = loss_family(name, n_experts=2)
    rng = np.random.default_rng(3)
    z = rng.normal(size=(6, family.n_rows, 2)) * 2
    y = (rng.random((6, 2)) < 0.5).astype(float)
    numeric = approx_fprime(z.ravel(), lambda f: family.loss(f.reshape(z.shape), y).sum(), 1e-7)
    assert_allclose(
        family.logit_gradient(z.copy(), y), numeric.reshape(z.shape), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", LOSSES)
def test_scores_are_in_0_to_1_and_rise_with_the_evidence(name):
    family = loss_family(name, n_experts=1)
    z = np.linspace(-30, 30, 13)[:, None, None].repeat(family.n_rows, axis=1)
    scores = family.score(z).ravel()
    assert (scores >= 0).all()
    assert (scores <= 1).all()
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_float32_stays_float32(name):
    family = loss_family(name)
    z = np.zeros((2, family.n_rows, 3), np.float32)
    assert family.logit_gradient(z, np.zeros((2, 3), np.float32)).dtype == np.float32


def test_rows_of_a_family():
    assert [loss_family(name, 4).n_rows for name in LOSSES] == [1, 1, 8]


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="logistic, hinge, moe, softmax, got 'svm'"):
        loss_family("svm")


def test_a_mixture_needs_an_expert():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        loss_family("moe", 0)
