"""Moments and their merge. Their spread over Spark partitions is tested in tests/spark."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.moments import (
    MomentSums,
    merge_all,
    merge_means,
    merge_moments,
    moments_of,
    product_type,
)


def make_rows(n=40, d=3, seed=0):
    # Mean 100, std 0.01, float32: squares that are not centred first lose everything.
    return (100 + 0.01 * np.random.default_rng(seed).normal(size=(n, d))).astype(np.float32)


def test_two_rows_by_hand():
    moments = moments_of(np.array([[0.0, 2.0], [4.0, 0.0]]))
    assert_allclose(moments.mean, [2, 1])
    assert_allclose(moments.covariance, [[4, -2], [-2, 1]])


def float64_covariance(rows):
    return np.cov(rows.astype(np.float64), rowvar=False, bias=True)


def in_roundings(found, expected):
    """Errors of a covariance in units of 2^-23 times both features' standard deviations."""
    deviations = np.sqrt(np.diag(expected))
    return np.abs(found - expected) / np.outer(deviations, deviations) / 2.0**-23


ROWS = {
    "far from zero": make_rows(3000, 40),
    "badly scaled": (
        np.random.default_rng(1).normal(5, 1, (3000, 40)) * np.geomspace(1e-8, 1e8, 40)
    ).astype(np.float32),
    "heavy tails": np.exp(2 * np.random.default_rng(2).normal(size=(1500, 40))).astype(np.float32),
    "drifting": np.cumsum(make_rows(5000, 40), axis=0, dtype=np.float32),
    "a few": make_rows(5, 40),
}


@pytest.mark.parametrize("kind", ROWS)
def test_float32_products_are_off_by_a_few_roundings_of_the_deviations(kind):
    rows = ROWS[kind]
    moments = moments_of(rows)
    assert in_roundings(moments.covariance, float64_covariance(rows)).max() < 16
    mean = rows.mean(axis=0, dtype=np.float64)
    assert_allclose(moments.mean, mean, rtol=1e-13)
    assert_array_equal(moments.scatter, moments.scatter.T)


def test_float64_rows_keep_all_their_digits():
    rows = make_rows(3000, 40).astype(np.float64)
    assert_allclose(moments_of(rows).covariance, float64_covariance(rows), rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("length", [1, 7, 1023, 1024, 1025, 9000])
def test_pieces_of_any_length_give_the_bits_of_the_whole(length):
    rows = make_rows(2500)
    sums = MomentSums(3)
    for start in range(0, len(rows), length):
        sums.add(rows[start : start + length])
    assert_array_equal(sums.total().scatter, moments_of(rows).scatter)


def test_so_many_chunks_that_their_means_are_folded_on_the_way(monkeypatch):
    monkeypatch.setattr("yt8m_spark.core.moments.CHUNK_ROWS", 4)
    rows = np.cumsum(make_rows(1000, 5), axis=0, dtype=np.float32)  # 250 chunks, far apart
    moments = moments_of(rows)
    assert in_roundings(moments.covariance, float64_covariance(rows)).max() < 16
    assert_allclose(moments.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-13)


def test_a_mean_that_float32_cannot_hold_is_made_up_for():
    # At 1e6 float32 has steps of 1/16, as large as the deviations: s is off by up to 1/32.
    rows = (1e6 + np.random.default_rng(0).normal(0, 0.1, (2000, 3))).astype(np.float32)
    assert in_roundings(moments_of(rows).covariance, float64_covariance(rows)).max() < 16


@pytest.mark.parametrize("cuts", [[7], [1, 2, 3], [5, 20, 39]])
def test_merged_parts_equal_the_whole(cuts):
    rows = make_rows().astype(np.float64)
    merged = merge_all(moments_of(part) for part in np.split(rows, cuts))
    whole = moments_of(rows)
    assert merged.n == whole.n
    assert_allclose(merged.mean, whole.mean, rtol=1e-12)
    assert_allclose(merged.scatter, whole.scatter, rtol=1e-9)


def test_merging_leaves_what_was_given_as_it_was():
    parts = [moments_of(part) for part in np.split(make_rows(), 4)]
    before = [part.scatter.copy() for part in parts]
    merge_all(parts)
    merge_moments(parts[0], parts[1])
    for part, scatter in zip(parts, before, strict=True):
        assert_array_equal(part.scatter, scatter)


def test_merged_means_are_the_mean_of_all():
    rows = make_rows()
    parts = [(len(p), p.mean(axis=0, dtype=np.float64)) for p in np.split(rows, [3, 20])]
    n, mean = merge_means(parts)
    assert n == 40
    assert_allclose(mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-14)
    assert merge_means([]) is None


def test_a_mixture_is_as_exact_as_its_worst_part():
    a, b = moments_of(make_rows()), moments_of(make_rows().astype(np.float64))
    assert merge_moments(b, a).rounding == 2.0**-23
    assert b.rounding == 2.0**-52


def test_squares_that_overflow_are_refused_by_feature():
    rows = np.array([[1, 1e30], [2, -1e30]], np.float32)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="feature 1 is too large"):
        moments_of(rows)


def test_narrow_rows_are_multiplied_in_float64():
    assert product_type(256) is np.float64
    assert product_type(257) is np.float32


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
