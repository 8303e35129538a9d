"""Lloyd-Max codes: known answers, both conditions, and exact search on small data.

Not tested here: what is done with a codebook (test_codebooks.py).
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from yt8m_spark.core.codebooks import decode, encode
from yt8m_spark.core.histograms import bin_centroids, histogram_of, range_of
from yt8m_spark.core.lloyd_max import fit_lloyd_max


def histogram(values, n_bins=2048):
    values = np.asarray(values, np.float32)
    return histogram_of(values, range_of(values), n_bins)


def quantiles(distribution, n=200_001):
    """(n, 1) values spread as ``distribution``, without chance."""
    return distribution.ppf((np.arange(n) + 0.5) / n)[:, None]


def mse(values, codebook):
    values = np.asarray(values, np.float32)
    error = decode(encode(values, codebook), codebook) - values.astype(float)
    return (error**2).mean(axis=0)


def atoms_of(counted):
    """Places (in values) and counts of the bins, (D, K)."""
    low, high = (end.astype(float)[:, None] for end in counted.range)
    return low + bin_centroids(counted) * (high - low) / counted.counts.shape[1], counted.counts


def binned_error(counted, codebook):
    """Squared error of every bin's mean to its nearest level, summed one feature at a time."""
    errors = []
    for place, count, levels in zip(*atoms_of(counted), codebook.levels, strict=True):
        distance = np.abs(place[:, None] - levels.astype(float)).min(axis=1)
        errors.append((count * distance**2).sum())
    return np.array(errors)


def samples(n=3000, seed=0):
    """Five features of different shapes: (n, 5)."""
    rng = np.random.default_rng(seed)
    relu = np.maximum(rng.normal(-1, 1, n), 0)
    lumps = np.where(rng.random(n) < 0.5, rng.normal(-3, 0.1, n), rng.normal(2, 0.5, n))
    columns = [rng.normal(size=n), rng.laplace(size=n), rng.uniform(-1, 7, n), relu, lumps]
    return np.column_stack(columns).astype(np.float32)


# Known answers


def test_one_bit_of_a_gaussian_is_the_mean_of_each_half():
    codebook = fit_lloyd_max(histogram(quantiles(norm), 4096), 2)
    expected = np.sqrt(2 / np.pi)
    assert_allclose(codebook.levels, [[-expected, expected]], rtol=1e-3)
    assert_allclose(codebook.thresholds, [[0]], atol=1e-3)


def test_two_bits_of_a_gaussian_are_those_of_maxs_table():
    # Max (1960), table 1, N = 4.
    codebook = fit_lloyd_max(histogram(quantiles(norm), 4096), 4)
    assert_allclose(codebook.levels, [[-1.510, -0.4528, 0.4528, 1.510]], atol=2e-3)
    assert_allclose(codebook.thresholds, [[-0.9816, 0, 0.9816]], atol=2e-3)
    assert_allclose(mse(quantiles(norm), codebook), 0.1175, rtol=1e-3)


def test_many_levels_come_near_the_bound_of_panter_and_dite():
    # For L large the error is (∫ p^(1/3))³ / (12 L²), of a Gaussian √3 π / (2 L²).
    values = quantiles(norm)
    error = mse(values, fit_lloyd_max(histogram(values, 8192)))
    assert_allclose(error, np.sqrt(3) * np.pi / 2 / 256**2, rtol=0.05)


@pytest.mark.parametrize("n_levels", [2, 3, 16, 256])
def test_levels_of_a_uniform_source_are_uniform(n_levels):
    n_bins = 16 * n_levels
    values = (np.arange(64 * n_levels) + 0.5) / (64 * n_levels)
    codebook = fit_lloyd_max(histogram(values[:, None], n_bins), n_levels)
    expected = (np.arange(n_levels) + 0.5) / n_levels
    assert_allclose(codebook.levels[0], expected, atol=1.5 / n_bins)


# Exact search


def least_error(values, n_levels):
    """Least sum of squared errors of any ``n_levels`` levels, by dynamic programming."""
    x = np.sort(values.astype(float))
    n = len(x)
    cost = np.full((n + 1, n + 1), np.inf)
    for i in range(n):
        for j in range(i + 1, n + 1):
            cost[i, j] = ((x[i:j] - x[i:j].mean()) ** 2).sum()
    best = cost[0]
    for _ in range(n_levels - 1):
        best = np.minimum(best, (best[:, None] + cost).min(axis=0))
    return best[n]


@pytest.mark.parametrize("n_levels", [2, 3, 4])
def test_lumps_far_apart_get_a_level_each_as_exact_search_gives_them(n_levels):
    rng = np.random.default_rng(n_levels)
    centres = np.array([-9.0, -1, 4, 30])[:n_levels]
    values = (centres + rng.normal(0, 0.2, size=(12, n_levels))).astype(np.float32)
    codebook = fit_lloyd_max(histogram(values.reshape(-1, 1), 4096), n_levels)
    assert_allclose(codebook.levels[0], values.mean(axis=0, dtype=float), atol=1e-3)
    found = mse(values.reshape(-1, 1), codebook)[0] * values.size
    assert_allclose(found, least_error(values.ravel(), n_levels), rtol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_a_gaussian_sample_is_coded_nearly_as_well_as_exact_search_can(seed):
    values = np.random.default_rng(seed).normal(size=(120, 1)).astype(np.float32)
    found = mse(values, fit_lloyd_max(histogram(values, 4096), 6))[0] * len(values)
    best = least_error(values.ravel(), 6)
    assert best * (1 - 1e-6) <= found <= best * 1.2


def test_it_is_as_good_as_k_means():
    from sklearn.cluster import KMeans

    values = samples(5000)
    codebook = fit_lloyd_max(histogram(values, 4096), 8)
    for feature, found in enumerate(mse(values, codebook)):
        means = KMeans(8, n_init=3, random_state=0).fit(values[:, [feature]].astype(float))
        assert found <= 1.05 * means.inertia_ / len(values)


# Conditions


@pytest.mark.parametrize("n_levels", [2, 7, 64, 256])
def test_levels_are_centroids_and_thresholds_midpoints(n_levels):
    counted = histogram(samples())
    codebook = fit_lloyd_max(counted, n_levels)
    levels = codebook.levels.astype(float)
    assert_array_equal(codebook.thresholds, (levels[:, 1:] + levels[:, :-1]) / 2)
    for feature, (place, count) in enumerate(zip(*atoms_of(counted), strict=True)):
        cells = np.searchsorted(codebook.thresholds[feature], place, side="right")
        held = np.bincount(cells, count, n_levels)
        centroids = np.bincount(cells, count * place, n_levels) / np.maximum(held, 1)
        assert (held > 0).all(), "no level is wasted"
        assert_allclose(levels[feature], centroids, atol=2e-6)


@pytest.mark.parametrize("n_levels", [4, 100])
def test_error_never_rises_from_one_step_to_the_next(n_levels):
    counted = histogram(samples())
    steps = [fit_lloyd_max(counted, n_levels, max_iterations=n) for n in range(30)]
    errors = np.array([binned_error(counted, codebook) for codebook in steps])
    assert (np.diff(errors, axis=0) <= errors[:-1] * 1e-6).all()
    assert (errors[-1] < errors[0]).all()


@pytest.mark.parametrize("n_levels", [2, 5, 32, 256])
def test_it_is_never_worse_than_equal_cells_over_the_range(n_levels):
    for seed in range(5):
        counted = histogram(samples(400, seed))
        found = binned_error(counted, fit_lloyd_max(counted, n_levels))
        places, counts = atoms_of(counted)
        low, high = (end.astype(float)[:, None] for end in counted.range)
        step = (high - low) / n_levels
        middles = low + (np.floor((places - low) / step).clip(0, n_levels - 1) + 0.5) * step
        assert (found <= (counts * (places - middles) ** 2).sum(axis=1)).all()


def test_levels_never_fall_and_stay_in_the_range():
    codebook = fit_lloyd_max(histogram(samples()))
    assert (np.diff(codebook.levels, axis=1) >= 0).all()
    assert (codebook.levels >= codebook.bounds[:, :1]).all()
    assert (codebook.levels <= codebook.bounds[:, 1:]).all()


# Odd features


def test_a_cell_without_values_takes_some_of_its_neighbours():
    # Thirds of the range leave the middle one empty; the best cells are {0}, {4.9, 10.1}, {15}.
    values = np.repeat([0.0, 4.9, 10.1, 15.0], [1000, 1, 1, 1000])[:, None]
    counted = histogram(values, 600)
    codebook = fit_lloyd_max(counted, 3)
    codes = encode(values.astype(np.float32), codebook)
    assert set(codes.ravel()) == {0, 1, 2}
    assert binned_error(counted, codebook)[0] <= 2 * 5.0**2


def test_a_feature_that_does_not_vary_is_read_as_it_is():
    values = np.full((9, 2), 0.1, np.float32)
    values[:, 1] = np.arange(9)
    codebook = fit_lloyd_max(histogram(values), 4)
    assert_array_equal(decode(encode(values, codebook), codebook)[:, 0], values[:, 0])
    assert_array_equal(codebook.levels[0], np.full(4, 0.1, np.float32))


def test_fewer_values_than_levels_are_read_as_they_are():
    values = np.random.default_rng(0).choice(np.float32([-3, -1.5, 0, 0.1, 7]), size=(50, 1))
    codebook = fit_lloyd_max(histogram(values), 8)
    assert_allclose(decode(encode(values, codebook), codebook), values, atol=1e-6)
    assert_array_equal(codebook.levels[0, 4:], np.full(4, 7))


@pytest.mark.parametrize("n_levels", [2, 3, 4, 5, 6])
def test_numbers_of_values_about_the_number_of_levels(n_levels):
    values = np.float32([0, 1, 2, 3])[:, None]
    codebook = fit_lloyd_max(histogram(values, 64), n_levels)
    expected = {2: 1.0, 3: 0.5}.get(n_levels, 0.0)  # pairs at their middle, ±1/2 each
    assert_allclose(mse(values, codebook) * 4, expected, atol=1e-12)


def test_each_feature_is_coded_as_it_would_be_alone():
    values = samples(500)
    together = fit_lloyd_max(histogram(values), 16)
    for feature in range(values.shape[1]):
        alone = fit_lloyd_max(histogram(values[:, [feature]]), 16)
        assert_array_equal(alone.levels[0], together.levels[feature])


def test_numbers_of_levels_and_features_without_values_are_refused():
    counted = histogram(samples(50))
    for n_levels in (1, 257):
        with pytest.raises(ValueError, match=f"n_levels must be 2 to 256, got {n_levels}"):
            fit_lloyd_max(counted, n_levels)
    counted.counts[3] = 0
    with pytest.raises(ValueError, match="feature 3 has no values"):
        fit_lloyd_max(counted)


def test_real_features_are_coded_better_than_the_release_codes_them(shared_data):
    from yt8m_spark.core.codebooks import linear_code
    from yt8m_spark.formats.examples import decode_video
    from yt8m_spark.formats.tfrecord import read_records

    shards = sorted((shared_data / "yt8m_video").glob("*.tfrecord"))[:4]
    records = [record for shard in shards for record in read_records(str(shard))]
    values = np.stack([decode_video(record.data).features["mean_rgb"] for record in records])
    found = mse(values, fit_lloyd_max(histogram(values)))
    released = mse(values, linear_code())
    assert (found < released).all()
    assert found.mean() < released.mean() / 4
