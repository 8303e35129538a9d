"""Paired intervals and the sign test. Where replicates come from is tested with the bootstrap."""

from math import comb

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import bootstrap, norm

from yt8m_spark.core.paired_comparison import (
    Interval,
    paired_interval,
    sign_test,
    wins_and_losses,
)


def test_the_interval_of_evenly_spread_differences_by_hand():
    # Differences 0 .. 1000, their mean 500: at level 0.8 the ends are 100 and 900, 400 about it.
    spread = np.random.default_rng(0).permutation(1001).astype(float)
    noise = np.random.default_rng(1).normal(size=1001)  # is in both: it goes
    found = paired_interval(spread + noise, noise, 7.0, level=0.8)
    assert_allclose(found, (7 - 400, 7 + 400))


def test_a_bias_of_the_replicates_does_not_move_the_interval():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 200))
    assert_allclose(paired_interval(a + 0.3, b - 0.1, 0.5), paired_interval(a, b, 0.5))


def test_the_interval_agrees_with_scipys_bootstrap_of_the_differences():
    # SciPy resamples 400 paired differences of 0/1 outcomes itself; ours gets the two means.
    rng = np.random.default_rng(3)
    model, baseline = rng.random(400) < 0.6, rng.random(400) < 0.5
    pairs = (model.astype(float) - baseline,)
    theirs = bootstrap(pairs, np.mean, method="percentile", rng=4, n_resamples=4000)
    rows = rng.integers(400, size=(4000, 400))
    found = paired_interval(model[rows].mean(axis=1), baseline[rows].mean(axis=1), pairs[0].mean())
    assert_allclose(found, theirs.confidence_interval, atol=0.006)


def test_pairing_narrows_the_interval_of_models_that_fail_on_the_same_videos():
    rng = np.random.default_rng(5)
    luck, own = rng.normal(size=4000), rng.normal(size=(2, 4000)) / 10
    low, high = paired_interval(luck + own[0], luck + own[1], 0.0)
    # The difference of the two own parts is normal with variance 2 / 100.
    assert_allclose([low, high], np.array([-1, 1]) * norm.ppf(0.975) * np.sqrt(0.02), rtol=0.08)


def test_too_few_replicates_give_no_interval():
    values = np.arange(40.0)
    assert paired_interval(values[:39], np.zeros(39), 0.0) is None
    assert paired_interval(values, np.zeros(40), 0.0) is not None
    holes = np.where(values == 3, np.nan, values)  # a metric that a replicate does not have
    assert paired_interval(holes, np.zeros(40), 0.0) is None
    assert paired_interval(values[:20], np.zeros(20), 0.0, level=0.9) is not None


def test_replicates_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match=r"must pair, got shapes \(40,\) and \(41,\)"):
        paired_interval(np.zeros(40), np.zeros(41), 0.0)


@pytest.mark.parametrize(
    ("low", "high", "excludes"),
    [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False), (0, 0, False)],
)
def test_an_interval_that_touches_zero_says_nothing(low, high, excludes):
    assert Interval(low, high).excludes_zero is excludes


@pytest.mark.parametrize(("wins", "losses"), [(9, 1), (1, 9), (5, 5), (3, 0), (0, 1), (12, 7)])
def test_the_sign_test_by_counting_coin_tosses(wins, losses):
    n, extreme = wins + losses, max(wins, losses)
    tail = sum(comb(n, k) for k in range(extreme, n + 1)) / 2**n
    assert_allclose(sign_test(wins, losses), min(1, 2 * tail), rtol=1e-12)


def test_without_wins_and_losses_there_is_nothing_to_tell():
    assert sign_test(0, 0) == 1


def test_wins_ties_and_losses_by_hand():
    model = np.array([0.5, 0.4, 0.3, 0.3 + 1e-10, 0.9, np.nan, 0.2])
    baseline = np.array([0.4, 0.5, 0.3, 0.3, 0.1, 0.3, np.nan])
    found = wins_and_losses(model, baseline)
    assert found == (2, 2, 1, 1.0)  # 2 : 1 or more uneven: all eight outcomes of three tosses
    assert wins_and_losses(baseline, model)[:3] == (1, 2, 2)
