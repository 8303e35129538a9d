"""What fits into memory, and what is said of what does not. The components: test_eigenpairs.py."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.core import tiled_whitening
from yt8m_spark.core.moment_tiles import TiledMoments, mean_path, tile_path
from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.tiled_whitening import (
    BYTES_A_COMPONENT,
    DEFAULT_COMPONENTS,
    check_fits,
    fit_tiled_whitening,
)
from yt8m_spark.core.whitening import fit_whitening
from yt8m_spark.core.whitening_options import WhiteningOptions

MIB = 1 << 20


def make_moments(n=200, d=6, seed=0):
    rng = np.random.default_rng(seed)
    return moments_of(rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3)


def one_tile(folder, moments):
    np.save(mean_path(folder, 0), moments.mean)
    np.save(tile_path(folder, 0, 0), moments.scatter)
    return TiledMoments(str(folder), moments.n, [0, len(moments.mean)])


@pytest.mark.parametrize("method", ["pca", "zca"])
@pytest.mark.parametrize("asked", [{"n_components": 3}, {"explained_variance": 0.9}])
def test_it_is_the_whitening_of_the_whole_covariance(tmp_path, asked, method):
    moments = make_moments()
    tiled = fit_tiled_whitening(
        one_tile(tmp_path, moments), WhiteningOptions(**asked, method=method, ridge=0.1), MIB
    )
    whole = fit_whitening(moments, **asked, method=method, ridge=0.1)
    assert_allclose(tiled.projection, whole.projection, atol=1e-9)
    assert_allclose(tiled.explained_variance_ratio, whole.explained_variance_ratio)


def test_as_many_components_as_the_memory_holds():
    options = WhiteningOptions(n_components=10)
    assert check_fits(1000, options, 12 * 1000 * BYTES_A_COMPONENT) == 12
    assert check_fits(1000, options, 10_000_000_000) == 999


def test_by_default_the_first_1024_or_as_many_as_fit(tmp_path, monkeypatch):
    moments = make_moments()
    tiles = one_tile(tmp_path, moments)
    assert DEFAULT_COMPONENTS == 1024  # §4.2
    by_default = WhiteningOptions(ridge=0.1)
    room = 5 * len(moments.mean) * BYTES_A_COMPONENT
    assert fit_tiled_whitening(tiles, by_default, room).n_components == 5
    monkeypatch.setattr(tiled_whitening, "DEFAULT_COMPONENTS", 3)
    tiled = fit_tiled_whitening(tiles, by_default, room)
    whole = fit_whitening(moments, n_components=3, ridge=0.1)
    assert_allclose(tiled.projection, whole.projection, atol=1e-9)
    few = one_tile(tmp_path, make_moments(n=3))
    assert fit_tiled_whitening(few, by_default, room).n_components == 2  # 3 videos lie in a plane


@pytest.mark.parametrize(
    ("options", "message"),
    [
        # 48 * 7168 * 2000 bytes are 656.3 MiB; 256 MiB hold 780 components.
        (
            WhiteningOptions(n_components=2000),
            "2000 components of 7168 features need more memory than 256 MiB: give n_components "
            "of at most 780, or memory of 657 MiB",
        ),
        # All of them: 64 * 7168^2 bytes, 3136 MiB, for a covariance in memory.
        (
            WhiteningOptions(n_components=7168),
            "7168 components .* at most 780, or memory of 3136 MiB",
        ),
        (WhiteningOptions(n_components=7169), "n_components must be 1 to 7168, got 7169"),
    ],
)
def test_more_than_fits_is_refused_with_the_bound_and_the_remedy(options, message):
    with pytest.raises(ValueError, match=message):
        check_fits(7168, options, 256 * MIB)


def test_rows_that_do_not_vary_are_refused(tmp_path):
    tiles = one_tile(tmp_path, moments_of(np.ones((4, 3))))
    with pytest.raises(ValueError, match="do not vary over 4 videos"):
        fit_tiled_whitening(tiles, WhiteningOptions(1), MIB)
