"""Oddities of features and figures of counts on small arrays. Spark is tested elsewhere."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import spearmanr

from yt8m_spark.core.profile import (
    ODDITIES,
    compare_counts,
    frames_oddity,
    rank_correlation,
    row_groups,
    vector_oddities,
    zipf_slope,
)


@pytest.mark.parametrize(
    ("frames", "oddity"),
    [
        ([[1, 2], [3, 4]], ""),
        ([[1, 2], [1, 2], [1, 3]], ""),  # the first two are no proof
        ([[0, 0], [0, 0], [0, 1]], ""),
        ([[5, 5]], ""),  # one frame cannot repeat
        ([[0, 0]], "zero"),
        ([[0, 0], [0, 0]], "zero"),
        ([[1, 2], [1, 2], [1, 2]], "constant"),
        (np.empty((0, 2)), "empty"),
        (np.empty((0, 0)), "empty"),
    ],
)
def test_oddity_of_a_feature_list(frames, oddity):
    assert ODDITIES[frames_oddity(np.array(frames, dtype=np.uint8))] == oddity


def test_oddities_of_vectors_of_any_length():
    nan, infinite = float("nan"), float("inf")
    vectors = {
        "": ([1, 2], [0, 0, 1], [7]),  # one value cannot repeat
        "zero": ([0], [0, -0.0, 0]),
        "constant": ([3, 3], [-1, -1, -1]),
        "empty": ([], [], []),
        "not_finite": ([0, nan], [nan], [infinite, infinite], [1, -infinite, 2]),
    }
    rows = [(oddity, vector) for oddity, found in vectors.items() for vector in found]
    order = np.random.default_rng(0).permutation(len(rows)).tolist()
    rows = [rows[i] for i in order]
    offsets = np.cumsum([0, *(len(vector) for _, vector in rows)])
    values = np.concatenate([np.array(vector, np.float32) for _, vector in rows])
    found = [ODDITIES[code] for code in vector_oddities(offsets, values)]
    assert found == [oddity for oddity, _ in rows]


def test_vectors_that_are_all_empty():
    codes = vector_oddities(np.zeros(4, np.int64), np.empty(0, np.float32))
    assert [ODDITIES[code] for code in codes] == ["empty"] * 3


@pytest.mark.parametrize("exponent", [-0.5, -1.0, -2.0])
def test_slope_of_a_power_law_is_its_exponent(exponent):
    counts = np.round(1e12 * np.arange(1, 500) ** exponent).astype(np.int64)
    shuffled = np.random.default_rng(0).permutation(np.concatenate([counts, np.zeros(50, int)]))
    assert_allclose(zipf_slope(shuffled), exponent, rtol=1e-4)


def test_slope_weighs_each_rank_by_its_inverse():
    counts = np.array([90, 40, 40, 7, 1])
    # polyfit squares its weights.
    ranks = np.arange(1, 6)
    slope, _ = np.polyfit(np.log(ranks), np.log(counts), 1, w=ranks**-0.5)
    assert_allclose(zipf_slope(counts), slope)


def test_slope_needs_two_entities():
    assert np.isnan(zipf_slope(np.array([0, 5, 0])))
    assert np.isnan(zipf_slope(np.array([], dtype=np.int64)))


def test_rank_correlation_is_spearmans_with_ties():
    rng = np.random.default_rng(3)
    first = rng.integers(0, 6, size=40)
    second = first + rng.integers(0, 6, size=40)
    assert_allclose(rank_correlation(first, second), spearmanr(first, second).statistic)


def test_rank_correlation_of_counts_that_do_not_vary():
    assert np.isnan(rank_correlation(np.array([2, 2, 2]), np.array([1, 2, 3])))
    assert np.isnan(rank_correlation(np.array([], int), np.array([], int)))


def test_deviations_by_hand():
    # 20 of 200: a tenth of (100, 90, 10, 0) is expected, sqrt(expected) is the spread.
    found = compare_counts(np.array([10, 0, 5, 5]), np.array([100, 90, 10, 0]))
    assert_allclose(found.expected, [10, 9, 1, 0])
    assert_allclose(found.deviations, [0, -3, 4, 0])


def test_nothing_is_expected_where_the_reference_is_empty():
    found = compare_counts(np.array([3, 0]), np.array([0, 0]))
    assert found.expected.tolist() == found.deviations.tolist() == [0, 0]


def test_groups_of_rows_against_sets():
    rng = np.random.default_rng(5)
    entities = np.array([2, 3, 7, 11])
    groups = np.array([[0, -1], [1, 2], [2, 0], [-1, -1]])
    labels = [rng.integers(0, 13, size=n).tolist() for n in rng.integers(0, 5, size=30)]
    offsets = np.cumsum([0, *map(len, labels)])
    of_entity = dict(zip(entities.tolist(), groups.tolist(), strict=True))
    expected = [
        (row, group)
        for row, found in enumerate(labels)
        for group in sorted({g for label in found for g in of_entity.get(label, []) if g >= 0})
    ]
    rows, found = row_groups(offsets, np.concatenate(labels).astype(int), entities, groups)
    assert list(zip(rows.tolist(), found.tolist(), strict=True)) == expected


def test_no_labels_and_no_entities_have_no_groups():
    nothing = np.empty(0, np.int64)
    for labels, entities in ((nothing, np.array([1])), (np.array([1]), nothing)):
        groups = np.zeros((len(entities), 1), np.int64)
        rows, found = row_groups(np.array([0, len(labels)]), labels, entities, groups)
        assert len(rows) == len(found) == 0
