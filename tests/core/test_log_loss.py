"""Losses of single pairs. Sums over videos and entities are tested with evaluations."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss

from yt8m_spark.core.log_loss import STARTER_ABSENT, loss_of_labels, loss_of_others


def test_losses_are_those_of_scikit_learn_and_of_the_starter_code():
    scores = np.float32([1e-6, 0.01, 0.5, 0.9, 0.999]).astype(np.float64)
    labels, others = loss_of_labels(scores), loss_of_others(scores)
    for i, p in enumerate(scores):
        assert labels[0][i] == pytest.approx(log_loss([1], [p], labels=[0, 1]), rel=1e-12)
        assert others[0][i] == pytest.approx(log_loss([0], [p], labels=[0, 1]), rel=1e-9)
    # -labels * log(p + eps) - (1 - labels) * log(1 - p + eps) of google/youtube-8m.
    assert_allclose(labels[1], -np.log(scores + 1e-5), rtol=1e-14)
    assert_allclose(others[1], -np.log(1 - scores + 1e-5), rtol=1e-9)


def test_a_small_score_of_no_label_keeps_its_digits():
    p = 1e-9
    assert loss_of_others(np.array([p]))[0] == pytest.approx(p + p * p / 2, rel=1e-14)


def test_certainty_that_is_wrong_costs_much_and_that_is_right_nothing():
    zero, one = np.zeros(1), np.ones(1)
    assert loss_of_labels(zero)[0] == loss_of_others(one)[0] == 23 * np.log(2)
    assert loss_of_labels(one)[0] == loss_of_others(zero)[0] == 0
    assert loss_of_labels(zero)[1] == pytest.approx(-np.log(1e-5))
    assert loss_of_others(zero)[1] == STARTER_ABSENT == -np.log1p(1e-5)
