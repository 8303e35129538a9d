"""Sums of precision with videos that count several times, against the rows repeated."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.core import weighted_precision
from yt8m_spark.core.entity_figures import single_steps
from yt8m_spark.core.weighted_precision import Ranking, ranked_precision, threshold_precision

N_GROUPS = 4


def weights(rng, n_replicates=5):
    return np.column_stack([np.ones(N_GROUPS), rng.integers(0, 4, (N_GROUPS, n_replicates))])


def one_by_one(is_hit, groups, times, before=(0, 0)):
    n_hits, n, total = before[0], before[1], 0.0
    for hit, group in zip(is_hit, groups, strict=True):
        for _ in range(int(times[group])):
            n_hits, n = n_hits + hit, n + 1
            total += n_hits / n if hit else 0.0
    return total


@pytest.mark.parametrize("at_once", [1, 13, 1 << 21])
def test_predictions_one_by_one(monkeypatch, at_once):
    monkeypatch.setattr(weighted_precision, "_AT_ONCE", at_once)
    rng = np.random.default_rng(1)
    drawn = weights(rng)
    is_hit, groups = rng.integers(0, 2, 40), rng.integers(0, N_GROUPS, 40)
    before = np.array([[2.0] * 6, [5.0] * 6])
    found = ranked_precision(single_steps(is_hit, groups), drawn, before)
    assert_allclose(found, [one_by_one(is_hit, groups, w, (2, 5)) for w in drawn.T], rtol=1e-13)


def test_many_steps_are_cut_and_go_on(monkeypatch):
    rng = np.random.default_rng(2)
    is_hit, groups = rng.integers(0, 2, 500), rng.integers(0, N_GROUPS, 500)
    drawn, ranking = weights(rng), single_steps(is_hit, groups)
    whole = ranked_precision(ranking, drawn)
    monkeypatch.setattr(weighted_precision, "_AT_ONCE", 50)
    assert_allclose(ranked_precision(ranking, drawn), whole, rtol=1e-13)


@pytest.mark.parametrize("at_once", [6, 1 << 21])
def test_thresholds_with_several_hits(monkeypatch, at_once):
    monkeypatch.setattr(weighted_precision, "_AT_ONCE", at_once)
    rng = np.random.default_rng(3)
    drawn = weights(rng)
    steps, groups = np.sort(rng.integers(0, 9, 60)), rng.integers(0, N_GROUPS, 60)
    is_hit = rng.random(60) < 0.4
    is_hit[[np.flatnonzero(steps == s)[0] for s in range(9)]] = True
    ranking = Ranking(steps, groups, np.ones(60, int), steps[is_hit], groups[is_hit])
    expected = []
    for times in drawn.T:
        w, total = times[groups], 0.0
        for s in range(9):
            above = steps <= s
            n = w[above].sum()
            precision = w[above & is_hit].sum() / n if n else 0.0
            total += precision * w[(steps == s) & is_hit].sum()
        expected.append(total)
    assert_allclose(threshold_precision(ranking, drawn), expected, rtol=1e-13)


def test_nothing_hit_is_a_sum_of_zero():
    nothing = single_steps(np.zeros(3, int), np.zeros(3, int))
    assert ranked_precision(nothing, np.ones((1, 2))).tolist() == [0, 0]
    assert threshold_precision(nothing, np.ones((1, 2))).tolist() == [0, 0]
