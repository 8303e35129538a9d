"""Fisher vectors as gradients of a log-likelihood. Codebooks are in test_frame_codebook."""

import itertools

import numpy as np
import pytest
from frame_codebooks import (
    LENGTHS,
    brute_fisher_gradients,
    log_joint,
    make_gmm,
    make_kmeans,
    make_values,
    normalized,
)
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime

from yt8m_spark.core import residual_sums
from yt8m_spark.core.fisher import encode_fisher, fisher_gradients
from yt8m_spark.core.frame_codebook import FrameCodebook
from yt8m_spark.core.quantization import dequantize


def test_one_gaussian_by_hand():
    book = FrameCodebook(np.float32([[1]]), np.float32([[4]]), np.array([1.0]))
    # z = (x - 1) / 2 is 2 and -1: means of z and of (z² - 1) / √2.
    found = fisher_gradients(np.float32([[5], [-1]]), np.array([0, 2]), book)
    assert_allclose(found, [[(2 - 1) / 2, (3 + 0) / 2 / np.sqrt(2)]], rtol=1e-6)


def test_two_equal_gaussians_share_a_frame_by_hand():
    book = FrameCodebook(np.zeros((2, 1), np.float32), np.ones((2, 1), np.float32), np.full(2, 0.5))
    # Posteriors 1/2 each, over √(1/2) and √(2/2).
    found = fisher_gradients(np.float32([[3]]), np.array([0, 1]), book)
    assert_allclose(found, [[3 / 2 * np.sqrt(2)] * 2 + [8 / 2] * 2], rtol=1e-6)


def test_gradients_are_those_of_the_mean_log_likelihood():
    # The Fisher information of a diagonal Gaussian is w/σ² by its mean and 2 w/σ² by its deviation.
    values, offsets = make_values((4, 7))
    book = make_gmm()
    shape, weights = book.centres.shape, book.weights
    deviations = np.sqrt(book.variances.astype(np.float64))
    found = fisher_gradients(values, offsets, book).reshape(2, 2, *shape)
    for video, (start, stop) in enumerate(itertools.pairwise(offsets)):
        frames = values[start:stop].astype(np.float64)

        def mean_log_likelihood(flat, frames=frames):
            means, spread = flat.reshape(2, *shape)
            joint = log_joint(frames, means, spread, weights)
            return np.logaddexp.reduce(joint, axis=1).mean()

        point = np.concatenate([book.centres.astype(np.float64).ravel(), deviations.ravel()])
        by_mean, by_deviation = approx_fprime(point, mean_log_likelihood, 1e-7).reshape(2, *shape)
        scale = deviations / np.sqrt(weights)[:, None]
        assert_allclose(found[video, 0], by_mean * scale, rtol=1e-4, atol=1e-5)
        assert_allclose(found[video, 1], by_deviation * scale / np.sqrt(2), rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_a_loop_over_videos():
    values, offsets = make_values()
    found = fisher_gradients(values, offsets, make_gmm())
    assert_allclose(
        found, brute_fisher_gradients(values, offsets, make_gmm()), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("power", [0.5, 1.0, 0.3])
def test_vectors_are_gradients_after_power_and_length(power):
    values, offsets = make_values()
    book = make_gmm(power=power)
    found = encode_fisher(values, offsets, book)
    assert found.dtype == np.float32
    gradients = fisher_gradients(values, offsets, book)
    for row, gradient, n_frames in zip(found, gradients, LENGTHS, strict=True):
        expected = normalized(gradient, power) if n_frames else np.full(gradient.shape, np.nan)
        assert_allclose(row, expected, rtol=1e-5, atol=1e-6)


def test_gaussians_a_thousand_times_narrower_keep_their_digits():
    # In float32, squares of x lose what is left of (x - μ)² / σ² at σ = 1e-3.
    rng = np.random.default_rng(4)
    book = make_gmm(n_centres=6, d=16)
    book = FrameCodebook(book.centres, np.full((6, 16), 1e-6, np.float32), book.weights)
    near = book.centres[rng.integers(0, 6, 50)] + 1e-3 * rng.normal(size=(50, 16))
    values, offsets = near.astype(np.float32), np.array([0, 20, 50])
    found = fisher_gradients(values, offsets, book)
    assert_allclose(found, brute_fisher_gradients(values, offsets, book), rtol=1e-4, atol=1e-4)


def test_frames_of_the_mixture_itself_have_gradients_near_zero_and_of_unit_spread():
    # The expected gradient is 0; scaled by the Fisher information its variance is 1 / F, exactly
    # so where Gaussians do not overlap.
    rng = np.random.default_rng(5)
    means = 40 * np.arange(3, dtype=np.float32)[:, None] * np.ones(4, np.float32)
    book = FrameCodebook(means, rng.uniform(0.5, 2, (3, 4)).astype(np.float32), np.full(3, 1 / 3))
    n_videos, n_frames = 400, 30
    drawn = rng.integers(0, 3, n_videos * n_frames)
    values = means[drawn] + np.sqrt(book.variances[drawn]) * rng.normal(size=(len(drawn), 4))
    offsets = np.arange(n_videos + 1) * n_frames
    gradients = fisher_gradients(values.astype(np.float32), offsets, book) * np.sqrt(n_frames)
    assert np.abs(gradients.mean(axis=0)).max() < 5 / np.sqrt(n_videos)
    assert_allclose(gradients.std(axis=0), 1, atol=0.25)


def test_memory_in_small_pieces_changes_nothing(monkeypatch):
    values, offsets = make_values()
    expected = fisher_gradients(values, offsets, make_gmm())
    monkeypatch.setattr(residual_sums, "_FRAMES_AT_ONCE", 4)
    monkeypatch.setattr(residual_sums, "_SUMS_AT_ONCE", 1)
    monkeypatch.setattr(residual_sums, "_PAIRS_AT_ONCE", 20)
    assert_allclose(fisher_gradients(values, offsets, make_gmm()), expected, rtol=1e-9, atol=1e-12)


def test_codes_stand_for_their_values():
    codes = np.random.default_rng(2).integers(0, 256, (13, 3), dtype=np.uint8)
    offsets = np.array([0, 5, 13])
    expected = fisher_gradients(dequantize(codes), offsets, make_gmm())
    assert_allclose(fisher_gradients(codes, offsets, make_gmm()), expected)


def test_a_frame_far_from_all_gaussians_gives_finite_numbers():
    found = encode_fisher(np.full((1, 3), 1e4, np.float32), np.array([0, 1]), make_gmm())
    assert np.isfinite(found).all()


def test_a_codebook_of_k_means_and_no_videos():
    values, offsets = make_values()
    with pytest.raises(ValueError, match="a codebook of a mixture"):
        encode_fisher(values, offsets, make_kmeans())
    assert encode_fisher(values[:0], offsets[:1], make_gmm()).shape == (0, 24)
