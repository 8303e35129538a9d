"""Agreement of raters, shares and orders. Tables of ratings are tested in tests/spark."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import kendalltau, norm, spearmanr
from sklearn.metrics import cohen_kappa_score

from yt8m_spark.core.agreement import agreement, order_agreement, share


def counted(n_yes, n_ratings):
    return agreement(*(np.array(c, np.int64) for c in (n_yes, n_ratings, [1] * len(n_yes))))


def fleiss(n_yes, n):
    """Fleiss (1971) for two categories and n ratings of each subject, as he writes it."""
    counts = np.stack([n_yes, n - n_yes], axis=1).astype(float)
    p = counts.sum(axis=0) / (len(counts) * n)
    mean = ((counts**2).sum(axis=1) - n).sum() / (len(counts) * n * (n - 1))
    return (mean - (p**2).sum()) / (1 - (p**2).sum())


def test_three_raters_by_hand():
    # yyy, yyn, nnn: P = 1, 1/3, 1; q = 5/9.
    found = counted([3, 2, 0], [3, 3, 3])
    percent, chance = (1 + 1 / 3 + 1) / 3, (5 / 9) ** 2 + (4 / 9) ** 2
    assert_allclose(found.percent, percent)
    assert_allclose(found.kappa, (percent - chance) / (1 - chance))
    assert found.n_pairs == 3


@pytest.mark.parametrize("n", [2, 3, 5])
def test_kappa_of_equal_numbers_is_that_of_fleiss(n):
    n_yes = np.random.default_rng(n).binomial(n, 0.3, size=200)
    assert_allclose(counted(n_yes, [n] * 200).kappa, fleiss(n_yes, n), rtol=1e-12)


def test_two_raters_who_say_yes_equally_often_have_the_kappa_of_cohen():
    first = np.array([1, 1, 0, 0, 1, 0, 1, 0, 0, 1])
    second = np.array([1, 0, 1, 0, 1, 0, 1, 0, 1, 0])
    expected = cohen_kappa_score(first, second)
    assert_allclose(counted(first + second, [2] * 10).kappa, expected, rtol=1e-12)


def test_unequal_numbers_by_counting_pairs_of_ratings():
    rng = np.random.default_rng(0)
    ratings = [rng.random(n) < 0.4 for n in rng.integers(1, 6, size=60)]
    shared = [r for r in ratings if len(r) > 1]
    agree = [np.mean([a == b for i, a in enumerate(r) for b in r[i + 1 :]]) for r in shared]
    q = np.concatenate(shared).mean()
    chance = q**2 + (1 - q) ** 2
    found = counted([r.sum() for r in ratings], [len(r) for r in ratings])
    assert_allclose(found, (np.mean(agree), (np.mean(agree) - chance) / (1 - chance), len(shared)))


def test_groups_of_pairs_count_as_often_as_they_stand():
    by_group = agreement(np.array([3, 1]), np.array([3, 3]), np.array([4, 2]))
    assert_allclose(by_group, counted([3, 3, 3, 3, 1, 1], [3] * 6))


def test_what_is_not_defined_is_nan():
    everyone_yes = counted([3, 3], [3, 3])
    assert everyone_yes.percent == 1
    assert math.isnan(everyone_yes.kappa)
    nobody_twice = counted([1, 0], [1, 1])
    assert math.isnan(nobody_twice.percent)
    assert nobody_twice.n_pairs == 0
    with pytest.raises(ValueError, match="between 0 and all"):
        counted([4], [3])


@pytest.mark.parametrize(("part", "whole"), [(0, 10), (3, 10), (788, 1000), (7, 7)])
def test_intervals_are_wilsons(part, whole):
    z, p = norm.ppf(0.975), part / whole
    centre = (p + z**2 / (2 * whole)) / (1 + z**2 / whole)
    half = z / (1 + z**2 / whole) * math.sqrt(p * (1 - p) / whole + z**2 / (4 * whole**2))
    expected = (p, centre - half, centre + half)
    assert_allclose(share(part, whole), expected, atol=1e-12)


def test_a_share_of_nothing_is_nan():
    assert all(math.isnan(value) for value in share(0, 0))


def test_orders_agree_as_scipy_says():
    first, second = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.2, 0.3, 0.5, 0.6])
    rho, tau = order_agreement(first, second)
    assert_allclose(rho, 1 - 6 * (1 + 1) / (4 * 15))  # one neighbour swap
    assert_allclose(tau, (5 - 1) / 6)
    assert_allclose((rho, tau), (spearmanr(first, second)[0], kendalltau(first, second)[0]))


def test_orders_of_one_or_of_equals_are_nan():
    for first, second in (([0.5], [0.5]), ([], []), ([0.5, 0.5], [0.1, 0.2])):
        assert all(math.isnan(v) for v in order_agreement(np.array(first), np.array(second)))
