"""Moments and their merge. Their spread over Spark partitions is tested in tests/spark."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.core.moments import merge_all, merge_moments, moments_of


def make_rows(n=40, d=3, seed=0):
    # Mean 100, std 0.01, float32: squares that are not centred first lose everything.
    return (100 + 0.01 * np.random.default_rng(seed).normal(size=(n, d))).astype(np.float32)


def test_two_rows_by_hand():
    moments = moments_of(np.array([[0.0, 2.0], [4.0, 0.0]]))
    assert_allclose(moments.mean, [2, 1])
    assert_allclose(moments.covariance, [[4, -2], [-2, 1]])


def test_covariance_equals_numpy_far_from_zero():
    rows = make_rows()
    expected = np.cov(rows.astype(float), rowvar=False, bias=True)
    assert_allclose(moments_of(rows).covariance, expected, rtol=1e-9)


@pytest.mark.parametrize("cuts", [[7], [1, 2, 3], [5, 20, 39]])
def test_merged_parts_equal_the_whole(cuts):
    rows = make_rows()
    merged = merge_all(moments_of(part) for part in np.split(rows, cuts))
    whole = moments_of(rows)
    assert merged.n == whole.n
    assert_allclose(merged.mean, whole.mean, rtol=1e-12)
    assert_allclose(merged.scatter, whole.scatter, rtol=1e-7)


def test_nothing_merges_to_none():
    assert merge_all([]) is None


def test_widths_must_agree():
    with pytest.raises(ValueError, match="widths 2 and 3"):
        merge_moments(moments_of(np.ones((2, 2))), moments_of(np.ones((2, 3))))


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match=r"got \(0, 3\)"):
        moments_of(np.empty((0, 3)))


def test_nan_is_refused_by_feature():
    with pytest.raises(ValueError, match="feature 1 holds NaN"):
        moments_of(np.array([[1.0, np.nan], [1.0, 2.0]]))
