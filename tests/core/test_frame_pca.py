"""The frame PCA and its inverse. Reading it from files is tested in tests/formats."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA

from yt8m_spark.core.frame_pca import (
    FrameCoder,
    FramePca,
    ReluSpace,
    apply_frame_pca,
    fit_frame_pca,
    invert_frame_pca,
)
from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.quantization import dequantize, quantize


def make_pca(d, m, seed=0):
    rng = np.random.default_rng(seed)
    components = np.linalg.qr(rng.normal(size=(m, d)))[0].T
    return FramePca(rng.normal(size=m), components, rng.uniform(0.5, 2, d))


def test_a_component_by_hand():
    # (f - mean) · v / scale = (3·0.6 + 4·0.8) / 2
    pca = FramePca(np.array([1.0, 1]), np.array([[0.6, 0.8]]), np.array([2.0]))
    assert_allclose(apply_frame_pca(np.array([[4.0, 5]]), pca), [[2.5]])
    # Back: 2.5 · 2 · v + mean
    assert_allclose(invert_frame_pca(np.array([[2.5]]), pca), [[4, 5]])


def test_whitening_leaves_what_the_ridge_leaves_of_each_variance():
    # Frames whose covariance is V diag(λ) Vᵀ exactly; scale² = λ + 1e-4, as the release has it.
    rng = np.random.default_rng(0)
    pca = make_pca(6, 6)
    eigenvalues = np.geomspace(10, 1e-4, 6)
    pca = pca._replace(scale=np.sqrt(eigenvalues + 1e-4))
    draws = rng.normal(size=(500, 6))
    draws = np.linalg.qr(draws - draws.mean(axis=0))[0] * np.sqrt(500)
    frames = (draws * np.sqrt(eigenvalues)) @ pca.components + pca.mean
    whitened = apply_frame_pca(frames, pca)
    expected = np.diag(eigenvalues / (eigenvalues + 1e-4))
    assert_allclose(np.cov(whitened.T, bias=True), expected, atol=1e-5)


def test_a_full_pca_is_undone():
    pca = make_pca(9, 9)
    frames = np.random.default_rng(1).normal(size=(20, 9))
    assert_allclose(invert_frame_pca(apply_frame_pca(frames, pca), pca), frames, atol=1e-5)


def test_components_survive_the_way_back_and_forth():
    pca = make_pca(4, 9)
    components = np.random.default_rng(1).normal(size=(20, 4))
    found = apply_frame_pca(invert_frame_pca(components, pca), pca)
    assert_allclose(found, components, atol=1e-5)


def test_relu_space_is_the_inverse_cut_off_at_zero():
    pca = make_pca(5, 8)
    codes = np.random.default_rng(1).integers(0, 256, (30, 5), dtype=np.uint8)
    expected = np.maximum(invert_frame_pca(dequantize(codes), pca), 0)
    found = ReluSpace(pca).activations(codes)
    assert found.dtype == np.float32
    assert_allclose(found, expected, atol=1e-5)


def test_activations_come_back_from_their_codes_to_half_a_step():
    pca = make_pca(6, 6)._replace(scale=np.full(6, 1.5))
    frames = np.random.default_rng(1).uniform(0, 1, size=(9, 6)).astype(np.float32)
    codes = quantize(apply_frame_pca(frames, pca))
    # The code is off by half a step and the reader's bias of 1/128, times scale, in each of 6.
    bound = 1.5 * np.sqrt(6) * (2 / 255 + 1 / 128)
    assert np.abs(ReluSpace(pca).activations(codes) - frames).max() < bound


def test_activations_of_no_frames_are_none():
    found = ReluSpace(make_pca(3, 5)).activations(np.empty((0, 3), np.uint8))
    assert_array_equal(found, np.empty((0, 5)))


def make_activations(n=2000, m=12, seed=0):
    rng = np.random.default_rng(seed)
    scaled = rng.normal(size=(n, m)) * np.geomspace(2, 0.2, m)
    return np.maximum(scaled @ np.linalg.qr(rng.normal(size=(m, m)))[0] + 1, 0).astype(np.float32)


def test_fitted_components_are_scikit_learns():
    frames = make_activations()
    pairs = fit_frame_pca(moments_of(frames), 5)
    expected = PCA(5).fit(frames.astype(np.float64))
    assert_allclose(np.abs(pairs.vectors), np.abs(expected.components_), atol=1e-4)
    n = len(frames)  # scikit-learn divides by n - 1
    assert_allclose(pairs.values, expected.explained_variance_ * (n - 1) / n, rtol=1e-5)
    assert len(pairs.spectrum) == 12


def test_codes_are_those_of_the_release_s_writer():
    frames = make_activations(1500)
    pairs = fit_frame_pca(moments_of(frames), 5)
    scale = np.sqrt(pairs.values + 1e-4)
    pca = FramePca(frames.mean(axis=0), pairs.vectors, scale)
    exact = (frames - pca.mean.astype(np.float64)) @ pairs.vectors.T / scale
    found = FrameCoder(pca).codes(frames)
    expected = quantize(exact)
    assert found.dtype == np.uint8
    # A value within float32 rounding of a threshold may get the code beside.
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found != expected).mean() < 1e-3


def test_a_fit_that_cannot_be_is_refused():
    moments = moments_of(make_activations())
    with pytest.raises(ValueError, match="1 to 12, got 13"):
        fit_frame_pca(moments, 13)
    with pytest.raises(ValueError, match="do not vary over 3 frames"):
        fit_frame_pca(moments_of(np.ones((3, 2), np.float32)), 1)


@pytest.mark.parametrize("width", [3, 8])
def test_another_width_is_refused(width):
    pca, rows = make_pca(4, 9), np.zeros((2, width))
    with pytest.raises(ValueError, match=rf"frames must be \(F, 9\), got \(2, {width}\)"):
        apply_frame_pca(rows, pca)
    with pytest.raises(ValueError, match=rf"frames must be \(F, 9\), got \(2, {width}\)"):
        FrameCoder(pca).codes(rows)
    with pytest.raises(ValueError, match=rf"components must be \(F, 4\), got \(2, {width}\)"):
        invert_frame_pca(rows, pca)
    with pytest.raises(ValueError, match=rf"codes must be \(F, 4\), got \(2, {width}\)"):
        ReluSpace(pca).activations(rows.astype(np.uint8))
