"""Eq. 2 for one video. Tables of videos are tested in tests/spark."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.quantization import dequantize, quantize
from yt8m_spark.core.statistics import (
    FramePca,
    frame_statistics,
    quantized_statistics,
    reconstruct_frames,
    statistic_width,
)


def make_codes(n_frames=50, d=7, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=(n_frames, d), dtype=np.uint8)


def test_statistics_by_hand():
    frames = np.array([[1.0, 9], [2, 8], [3, 7], [4, 6], [5, 5], [6, 4], [7, 3]])
    found = frame_statistics(frames)
    assert_allclose(found["mean"], [4, 6])
    assert_allclose(found["std"], [2, 2])  # sum of squares 28, divisor 7
    # Rank-major, best first: the largest of both features, then the second of both, ...
    assert_allclose(found["top5"], [7, 9, 6, 8, 5, 7, 4, 6, 3, 5])


@pytest.mark.parametrize(("n_frames", "expected"), [(1, [3, 3, 3, 3, 3]), (2, [3, 1, 1, 1, 1])])
def test_fewer_than_five_frames_repeat_the_smallest(n_frames, expected):
    frames = np.array([[3.0], [1.0]])[:n_frames]
    assert_array_equal(frame_statistics(frames, ["top5"])["top5"], np.float32(expected))


@pytest.mark.parametrize("n_frames", [1, 4, 5, 6, 300])
def test_quantized_statistics_equal_those_of_dequantized_frames(n_frames):
    codes = make_codes(n_frames)
    expected = frame_statistics(dequantize(codes))
    for name, values in quantized_statistics(codes).items():
        assert values.dtype == np.float32
        assert_allclose(values, expected[name], rtol=1e-5, atol=1e-5)


def test_std_of_frames_that_do_not_vary_is_exactly_zero():
    codes = np.full((300, 3), 255, np.uint8)
    assert_array_equal(quantized_statistics(codes, ["std"])["std"], np.zeros(3, np.float32))


def test_order_of_frames_changes_nothing():
    codes = make_codes()
    turned = quantized_statistics(codes[::-1])
    for name, values in quantized_statistics(codes).items():
        assert_array_equal(values, turned[name])


def test_only_what_is_asked_for_comes_in_the_order_asked():
    assert list(quantized_statistics(make_codes(), ["top5", "mean"])) == ["top5", "mean"]


def test_reconstruction_inverts_code_and_pca():
    # An orthonormal 4 -> 4 PCA loses nothing, so what is at least 0 comes back to half a step.
    rng = np.random.default_rng(0)
    components = np.linalg.qr(rng.normal(size=(4, 4)))[0].T
    pca = FramePca(rng.normal(size=4), components, np.full(4, 1.5))
    frames = rng.uniform(0, 1, size=(9, 4))
    codes = quantize((frames - pca.mean) @ components.T / pca.scale)
    assert_allclose(reconstruct_frames(codes, pca), frames, atol=4 * 1.5 * 2 / 255)


def test_reconstruction_is_never_below_zero():
    pca = FramePca(np.full(2, -9.0), np.eye(2), np.ones(2))
    assert_array_equal(reconstruct_frames(make_codes(3, 2), pca), np.zeros((3, 2), np.float32))


def test_reconstruction_refuses_another_width():
    pca = FramePca(np.zeros(2), np.eye(2), np.ones(2))
    with pytest.raises(ValueError, match=r"must be \(F, 2\), got \(3, 7\)"):
        reconstruct_frames(make_codes(3), pca)


def test_a_video_without_frames_is_refused():
    with pytest.raises(ValueError, match=r"got \(0, 7\)"):
        quantized_statistics(make_codes(0))


def test_an_unknown_statistic_is_refused():
    with pytest.raises(ValueError, match="median"):
        quantized_statistics(make_codes(), ["median"])


def test_widths_of_statistics():
    assert [statistic_width(s, 10) for s in ("mean", "std", "top5")] == [10, 10, 50]
