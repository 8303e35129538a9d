"""What rates follow from which; what losses make of them is in test_label_noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.core.block_state import expected_square
from yt8m_spark.core.label_rates import PRECISION, RECALL, channel_of, label_rates


def test_true_and_false_rate_by_hand():
    # 100 videos, 10 labels of which 8 are right; recall 1/4: 32 videos have it, and 2 labels are
    # on the 68 others.
    rates = label_rates(np.array([0.1]), np.array([0.25]), np.array([0.8]))
    assert_allclose(rates.true_rate, 0.32)
    assert_allclose(rates.false_rate, 2 / 68)


@pytest.mark.parametrize("observed", [1e-6, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_labels_come_out_as_they_are_observed(observed):
    o = np.array([observed])
    rates = label_rates(o, np.array([RECALL]), np.array([PRECISION]))
    there = rates.true_rate
    assert_allclose(rates.recall * there + rates.false_rate * (1 - there), o)
    assert_allclose(rates.recall * there / o, PRECISION)
    assert 0 < there < 1
    assert rates.false_rate < rates.recall <= 1


def test_a_recall_that_cannot_be_is_raised_to_twice_the_frequency():
    rates = label_rates(np.array([0.05, 0.3]), np.full(2, 0.145), np.full(2, 0.788))
    assert_allclose(rates.recall, [0.145, 0.6])
    assert_allclose(rates.true_rate[1], 0.788 / 2)


def test_entities_take_their_own_rates_along():
    rates = label_rates(np.array([0.1, 0.2, 0.3]), np.full(3, 0.7), np.array([0.7, 0.8, 0.9]))
    taken = rates.take(np.array([2, 0, 2]))
    assert_allclose(taken.precision, [0.9, 0.7, 0.9])
    assert_allclose(taken.false_rate, rates.false_rate[[2, 0, 2]])


def test_a_channel_is_whole():
    rates = label_rates(np.array([0.1, 0.2]), np.array([0.5, 1]), np.array([0.9, 1]))
    channel = channel_of(rates, np.empty(0, np.float32))
    assert {part.dtype for part in channel} == {np.dtype(np.float32)}
    assert_allclose(channel.label_if_true + channel.none_if_true, 1)
    assert_allclose(channel.label_if_not + channel.none_if_not, 1)
    assert channel.label_if_not[1] == 0


def test_expected_square_is_the_mean_over_labels_that_come_so():
    # At the true rate q, of labelled videos the gradient is q - pi, of the others
    # q - P(entity is there | no label).
    o, recall, precision = np.array([0.1]), np.array([0.4]), np.array([0.8])
    q = precision * o / recall
    without = q * (1 - recall) / (1 - o)
    mean = o * (q - precision) ** 2 + (1 - o) * (q - without) ** 2
    assert_allclose(o * (q - precision) + (1 - o) * (q - without), 0, atol=1e-15)
    found = expected_square(o, 32, label_rates(o, recall, precision))
    assert_allclose(found, mean / 32)


def test_expected_square_of_perfect_labels_is_the_plain_one():
    o = np.array([0.01, 0.4])
    perfect = label_rates(o, np.ones(2), np.ones(2))
    assert_allclose(expected_square(o, 8, perfect), expected_square(o, 8))
