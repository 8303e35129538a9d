"""Components of covariances, in memory and on storage. Making the moments is tested elsewhere."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.eigenpairs import (
    components_that_explain,
    dense_eigenpairs,
    leading_eigenpairs,
    noise_variances,
)
from yt8m_spark.core.moment_tiles import TiledMoments, mean_path, strip_edges, tile_path
from yt8m_spark.core.moments import moments_of


def make_rows(n=300, d=40, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) / np.arange(1, d + 1)) @ np.linalg.qr(rng.normal(size=(d, d)))[
        0
    ]


def as_tiles(folder, moments, strip=16):
    edges = strip_edges(len(moments.mean), strip)
    strips = [slice(a, b) for a, b in pairwise(edges)]
    for i, rows in enumerate(strips):
        np.save(mean_path(folder, i), moments.mean[rows])
        for j in range(i, len(strips)):
            np.save(tile_path(folder, i, j), moments.scatter[rows, strips[j]])
    return TiledMoments(str(folder), moments.n, edges)


def test_a_share_is_reached_by_the_fewest_components():
    spectrum = np.array([4.0, 3, 2, 1])
    assert components_that_explain(spectrum, 10, 0.4) == 1
    assert components_that_explain(spectrum, 10, 0.41) == 2
    assert components_that_explain(spectrum, 10, 1.0) == 4
    assert components_that_explain(spectrum[:2], 10, 0.9) is None


def test_dense_components_rebuild_the_covariance():
    moments = moments_of(make_rows())
    pairs = dense_eigenpairs(moments)
    rebuilt = pairs.vectors.T * pairs.values @ pairs.vectors
    assert_allclose(rebuilt, moments.covariance, atol=1e-13)
    assert (np.diff(pairs.values) <= 0).all()


def test_the_largest_entry_of_each_component_is_positive():
    vectors = dense_eigenpairs(moments_of(make_rows())).vectors
    strongest = np.abs(vectors).argmax(axis=1)
    assert (vectors[np.arange(len(vectors)), strongest] > 0).all()


@pytest.mark.parametrize(("n_components", "share"), [(5, None), (None, 0.95)])
def test_tiles_give_the_components_of_the_whole_covariance(tmp_path, n_components, share):
    moments = moments_of(make_rows())
    dense = dense_eigenpairs(moments, n_components, share)
    tiled = leading_eigenpairs(as_tiles(tmp_path, moments), n_components, share, most=39)
    assert len(tiled.values) == len(dense.values) < 39
    assert_allclose(tiled.values, dense.values, rtol=1e-10)
    assert_allclose(tiled.vectors, dense.vectors, atol=1e-7)


def test_a_share_is_looked_for_in_steps(tmp_path, monkeypatch):
    monkeypatch.setattr("yt8m_spark.core.eigenpairs._FIRST_COMPONENTS", 1)
    moments = moments_of(make_rows())
    tiled = leading_eigenpairs(as_tiles(tmp_path, moments), None, 0.95, most=39)
    assert_allclose(tiled.values, dense_eigenpairs(moments, None, 0.95).values, rtol=1e-10)


def test_a_share_beyond_what_the_memory_allows_is_refused(tmp_path):
    tiles = as_tiles(tmp_path, moments_of(make_rows()))
    with pytest.raises(ValueError, match=r"2 components, the most .* below the 0\.999 asked for"):
        leading_eigenpairs(tiles, None, 0.999, most=2)


def test_the_same_tiles_give_the_same_bits(tmp_path):
    tiles = as_tiles(tmp_path, moments_of(make_rows()))
    one, other = (leading_eigenpairs(tiles, 7, None, most=39) for _ in range(2))
    assert_array_equal(one.vectors, other.vectors)


@pytest.mark.parametrize(("n", "d", "rank"), [(1000, 300, 4), (3000, 100, 30), (200, 400, 50)])
def test_what_rounding_makes_of_no_variance_counts_as_none(n, d, rank):
    # Entries of a few bits: products and sums of them are exact, so the rows have this rank.
    rng = np.random.default_rng(0)
    rows = rng.integers(-8, 9, (n, rank)) @ rng.integers(-8, 9, (rank, d)) / 1.0
    scaled = (rows * rng.choice([0.5, 1, 4], d)).astype(np.float32)
    values = dense_eigenpairs(moments_of(scaled)).values
    assert_array_equal(values[rank:], 0)
    assert (values[:rank] > 0).all()


def test_a_feature_of_small_scale_is_not_taken_for_rounding():
    # A variance of 1e-12 of the largest, and exact to float32 as every other.
    rows = np.random.default_rng(0).normal(size=(500, 3)) * [1, 1e-3, 1e-6]
    values = dense_eigenpairs(moments_of(rows.astype(np.float32))).values
    exact = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
    assert_allclose(values, exact, rtol=1e-3)


def test_noise_by_hand():
    # 2 sqrt(4) ε (1/2 of variance 8 and 1/2 of variance 2)
    noise = noise_variances(np.array([[1, 1, 0, 0]]) / np.sqrt(2), np.array([8.0, 2, 1, 1]), 1e-3)
    assert_allclose(noise, [2 * 2 * 1e-3 * 5])
