"""Bounds over all orders of ties, against every order. What ties are is the caller's."""

from itertools import permutations

import numpy as np
import pytest

from yt8m_spark.core.tie_bounds import tie_bounds


def average_precision_sum(hits, before=(0, 0)):
    """Sum of precision at each hit of a ranking."""
    n_hits, total = before[0], 0.0
    for i, is_hit in enumerate(hits, start=before[1] + 1):
        n_hits += is_hit
        total += n_hits / i if is_hit else 0.0
    return total


@pytest.mark.parametrize("before", [(0, 0), (1, 3)])
@pytest.mark.parametrize(
    "ties", [[[1, 0, 0]], [[1, 0], [1, 1, 0, 0], [0, 0], [1]], [[0], [1, 1]], [[0, 0]]]
)
def test_bounds_are_those_of_all_orders(ties, before):
    orders = [[]]
    for tie in ties:
        orders = [o + list(p) for o in orders for p in set(permutations(tie))]
    sums = [average_precision_sum(order, before) for order in orders]
    hits, totals = np.array([sum(t) for t in ties]), np.array([len(t) for t in ties])
    found = tie_bounds(hits, totals, np.array([0]), before)
    assert found.tolist() == [pytest.approx([max(sums), min(sums)], rel=1e-14)]


def test_without_ties_both_are_the_figure():
    hits = np.array([1, 0, 1])
    found = tie_bounds(hits, np.ones(3, int), np.array([0]))
    assert found.tolist() == [pytest.approx([1 + 2 / 3, 1 + 2 / 3])]


def test_rankings_one_after_the_other_are_apart():
    hits, totals = np.array([1, 2, 0, 1, 1]), np.array([3, 2, 2, 4, 1])
    parts = [slice(0, 2), slice(2, 3), slice(3, 5)]
    alone = [tie_bounds(hits[p], totals[p], np.array([0]))[0].tolist() for p in parts]
    assert tie_bounds(hits, totals, np.array([0, 2, 3])).tolist() == alone
    assert alone[1] == [0, 0]
