"""Ranges and histograms against NumPy's, one feature at a time. Merging in Spark: tests/spark."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.histograms import (
    OFFSET_UNITS,
    Range,
    bin_centroids,
    histogram_of,
    merge_histograms,
    merge_ranges,
    range_of,
)


def make_values(n=300, width=4, seed=0):
    scales = np.array([0.01, 1, 30, 1e-6])[:width]
    return (np.random.default_rng(seed).normal(size=(n, width)) * scales + 5).astype(np.float32)


def test_range_is_that_of_each_feature():
    low, high = range_of(np.float32([[1, -2], [0, 7], [3, 0]]))
    assert_array_equal(low, [0, -2])
    assert_array_equal(high, [3, 7])


def test_bins_and_places_by_hand():
    # Four bins of width 2 over [0, 8]: an edge belongs to the bin above it, the end to the last.
    values = np.float32([[0], [1], [2], [3.5], [8]])
    histogram = histogram_of(values, range_of(values), 4)
    assert_array_equal(histogram.counts, [[2, 2, 0, 1]])
    places = [[0 + 1 / 2, 0 + 1.5 / 2, 0, 1]]  # of a bin, added up in each
    assert_array_equal(histogram.offsets, np.array(places) * OFFSET_UNITS)
    assert_array_equal(bin_centroids(histogram), [[0.25, 1.375, 2, 4]])


def test_counts_and_means_of_bins_are_numpys():
    values = make_values()
    over = range_of(values)
    histogram = histogram_of(values, over, 16)
    for feature, column in enumerate(values.T.astype(float)):
        counts, edges = np.histogram(column, 16)
        assert_array_equal(histogram.counts[feature], counts)
        sums, _ = np.histogram(column, edges, weights=column)
        held = counts > 0
        width = edges[1] - edges[0]
        found = edges[0] + bin_centroids(histogram)[feature, held] * width
        assert_allclose(found, sums[held] / counts[held], atol=width / OFFSET_UNITS)


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(1, 299), max_size=5), seed=st.integers(0, 3))
def test_any_parts_in_any_order_merge_to_the_same_bits(cuts, seed):
    values = make_values()
    over = range_of(values)
    whole = histogram_of(values, over, 64)
    order = np.random.default_rng(seed).permutation(len(values))
    parts = [part for part in np.split(values[order], sorted(cuts)) if len(part)]
    merged = histogram_of(parts[-1], over, 64)
    bounds = range_of(parts[-1])
    for part in parts[:-1]:
        merged = merge_histograms(histogram_of(part, over, 64), merged)
        bounds = merge_ranges(bounds, range_of(part))
    assert_array_equal(merged.counts, whole.counts)
    assert_array_equal(merged.offsets, whole.offsets)
    assert_array_equal(bounds.low, over.low)
    assert_array_equal(bounds.high, over.high)


def test_a_feature_that_does_not_vary_is_at_the_start_of_its_first_bin():
    values = np.full((5, 1), 0.1, np.float32)
    histogram = histogram_of(values, range_of(values), 8)
    assert_array_equal(histogram.counts, [[5] + [0] * 7])
    assert not histogram.offsets.any()


def test_ranges_as_wide_as_float32_or_as_narrow_as_it_gets():
    big, small = np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal
    values = np.float32([[-big, 0], [big, small], [0, 0]])
    histogram = histogram_of(values, range_of(values), 2)
    assert_array_equal(histogram.counts, [[1, 2], [2, 1]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_without_a_bin_are_refused(bad):
    with pytest.raises(ValueError, match="feature 1 holds NaN or infinity"):
        range_of(np.float32([[0, bad]]))
    over = Range(np.zeros(2, np.float32), np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"of feature 1 is outside its range \[0.0, 1.0\]"):
        histogram_of(np.float32([[0, bad]]), over, 4)


def test_widths_bins_and_empty_input_are_checked():
    one, two = (make_values(width=width) for width in (1, 2))
    with pytest.raises(ValueError, match=r"shape \(V >= 1, D\), got \(0, 2\)"):
        range_of(two[:0])
    with pytest.raises(ValueError, match="widths 1 and 2"):
        merge_ranges(range_of(one), range_of(two))
    with pytest.raises(ValueError, match=r"must be \(V, 1\), got \(300, 2\)"):
        histogram_of(two, range_of(one), 4)
    with pytest.raises(ValueError, match="n_bins must be at least 1, got 0"):
        histogram_of(one, range_of(one), 0)
    other = histogram_of(one[:9], range_of(one[:9]), 4)
    for bins in (histogram_of(one, range_of(one), 4), histogram_of(one[:9], range_of(one[:9]), 5)):
        with pytest.raises(ValueError, match="different bins"):
            merge_histograms(bins, other)
