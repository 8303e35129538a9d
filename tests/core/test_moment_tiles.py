"""Tiles of a covariance. The tasks that make them are tested in tests/spark."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.core.moment_tiles import (
    CrossSums,
    TiledMoments,
    mean_path,
    strip_edges,
    tile_numbers,
    tile_path,
)


def make_rows(n=2500, d=7, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 100).astype(np.float32)


def save_tiles(folder, rows, strip):
    """Tiles and means by brute force in float64."""
    edges = strip_edges(rows.shape[1], strip)
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    strips = [slice(a, b) for a, b in pairwise(edges)]
    for i, j in tile_numbers(len(strips)):
        np.save(tile_path(folder, i, j), centred[:, strips[i]].T @ centred[:, strips[j]])
    for i, one in enumerate(strips):
        np.save(mean_path(folder, i), rows[:, one].mean(axis=0, dtype=np.float64))
    return TiledMoments(str(folder), len(rows), edges)


def test_strips_and_tiles_by_hand():
    assert strip_edges(7, 3) == [0, 3, 6, 7]
    assert strip_edges(6, 3) == [0, 3, 6]
    assert tile_numbers(3) == [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]


@pytest.mark.parametrize("length", [1, 1024, 2500])
def test_cross_sums_are_the_scatter_of_two_strips(length):
    rows = make_rows()
    sums = CrossSums(3, 4)
    for start in range(0, len(rows), length):
        piece = rows[start : start + length]
        sums.add(piece[:, :3], piece[:, 3:])
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    deviations = np.sqrt((centred**2).sum(axis=0))
    expected = centred[:, :3].T @ centred[:, 3:]
    scaled = np.abs(sums.total() - expected) / np.outer(deviations[:3], deviations[3:])
    assert scaled.max() < 16 * 2.0**-23


def test_many_chunks_whose_means_lie_apart(monkeypatch):
    monkeypatch.setattr("yt8m_spark.core.moment_tiles.CHUNK_ROWS", 4)
    rows = np.cumsum(make_rows(1000, 5), axis=0, dtype=np.float32)
    sums = CrossSums(2, 3)
    sums.add(rows[:, :2], rows[:, 2:])
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    assert_allclose(sums.total(), centred[:, :2].T @ centred[:, 2:], rtol=1e-5)


def test_means_that_float32_cannot_hold_are_made_up_for():
    # At 1e6 float32 has steps of 1/16, as large as the deviations, which are the same in both.
    shared = np.random.default_rng(0).normal(0, 0.1, (2000, 1))
    rows = (1e6 + shared + np.array([0, 1 / 64, 1 / 40])).astype(np.float32)
    sums = CrossSums(1, 2)
    sums.add(rows[:, :1], rows[:, 1:])
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    assert_allclose(sums.total(), centred[:, :1].T @ centred[:, 1:], rtol=16 * 2.0**-23)


@pytest.mark.parametrize("strip", [1, 3, 7])
def test_products_with_tiles_are_those_with_the_covariance(tmp_path, strip):
    rows = make_rows()
    tiled = save_tiles(tmp_path, rows, strip)
    covariance = np.cov(rows.T.astype(np.float64), bias=True)
    vectors = np.random.default_rng(1).normal(size=(7, 2))
    assert_allclose(tiled.covariance_times(vectors), covariance @ vectors, rtol=1e-9)
    assert_allclose(tiled.covariance_times(vectors[:, 0]), covariance @ vectors[:, 0], rtol=1e-9)
    assert_allclose(tiled.variances, np.diag(covariance))
    assert_allclose(tiled.mean, rows.mean(axis=0, dtype=np.float64))


def test_nan_is_refused():
    rows = make_rows(3)
    rows[1, 2] = np.nan
    sums = CrossSums(3, 4)
    sums.add(rows[:, :3], rows[:, 3:])
    with pytest.raises(ValueError, match="feature 2 holds NaN"):
        sums.total()
