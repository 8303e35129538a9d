"""VLAD by hand and by brute force. Codebooks are tested in test_frame_codebook."""

import numpy as np
import pytest
from frame_codebooks import brute_vlad, make_gmm, make_kmeans, make_values
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core import residual_sums
from yt8m_spark.core.frame_codebook import FrameCodebook
from yt8m_spark.core.quantization import dequantize
from yt8m_spark.core.vlad import encode_vlad, nearest_centres


def test_vlad_of_three_frames_by_hand():
    book = FrameCodebook(np.float32([[0, 0], [10, 0]]))
    frames = np.float32([[1, -1], [3, 0], [10, -9]])
    # The first centre has (1, -1) + (3, 0) = (4, -1), the second (0, -9); roots 2, -1, 0, -3.
    expected = np.array([2, -1, 0, -3]) / np.sqrt(14)
    assert_allclose(encode_vlad(frames, np.array([0, 3]), book), [expected], rtol=1e-6)


def test_intra_normalisation_by_hand():
    book = FrameCodebook(np.float32([[0, 0], [10, 0], [0, 99]]), power=1.0, intra=True)
    frames = np.float32([[3, -4], [10, -9]])
    # (3, -4) and (0, -9) of length 1 each; the third centre has no frame and stays 0.
    expected = np.array([0.6, -0.8, 0, -1, 0, 0]) / np.sqrt(2)
    assert_allclose(encode_vlad(frames, np.array([0, 2]), book), [expected], rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"power": 1.0}, {"power": 0.3}, {"intra": True}])
def test_vlad_is_that_of_a_loop_over_frames(options):
    values, offsets = make_values()
    book = make_kmeans(**options)
    found = encode_vlad(values, offsets, book)
    assert found.dtype == np.float32
    assert_allclose(found, brute_vlad(values, offsets, book), rtol=1e-5, atol=1e-6)


def test_memory_in_small_pieces_changes_nothing(monkeypatch):
    values, offsets = make_values()
    expected = encode_vlad(values, offsets, make_kmeans())
    monkeypatch.setattr(residual_sums, "_FRAMES_AT_ONCE", 4)
    monkeypatch.setattr(residual_sums, "_SUMS_AT_ONCE", 1)
    monkeypatch.setattr(residual_sums, "_PAIRS_AT_ONCE", 7)
    assert_allclose(encode_vlad(values, offsets, make_kmeans()), expected, rtol=1e-6)


def test_codes_stand_for_their_values():
    codes = np.random.default_rng(2).integers(0, 256, (13, 3), dtype=np.uint8)
    offsets = np.array([0, 5, 13])
    found = encode_vlad(codes, offsets, make_kmeans())
    assert_array_equal(found, encode_vlad(dequantize(codes), offsets, make_kmeans()))


def test_frames_that_are_their_centre_leave_zeros_and_no_frames_leave_nan():
    book = make_kmeans()
    found = encode_vlad(book.centres[:1].copy(), np.array([0, 1, 1]), book)
    assert_array_equal(found[0], 0)
    assert np.isnan(found[1]).all()


def test_nearest_centres_far_from_the_origin_are_those_of_distances():
    # Squares of 1e3 would drown differences of 1e-2 in float32.
    rng = np.random.default_rng(3)
    centres = (1000 + 0.1 * rng.normal(size=(5, 8))).astype(np.float32)
    values = (1000 + 0.1 * rng.normal(size=(400, 8))).astype(np.float32)
    distances = ((values[:, None].astype(float) - centres) ** 2).sum(axis=2)
    gaps = np.diff(np.sort(distances, axis=1)[:, :2]).ravel()
    clear = gaps > 2e-3
    assert clear.mean() > 0.9
    assert_array_equal(nearest_centres(values, centres)[clear], distances.argmin(axis=1)[clear])


def test_a_mixture_and_frames_of_another_width_are_refused():
    values, offsets = make_values()
    with pytest.raises(ValueError, match="codebook of k-means"):
        encode_vlad(values, offsets, make_gmm())
    with pytest.raises(ValueError, match="codebook's 5 features, got 3"):
        encode_vlad(values, offsets, make_kmeans(d=5))
    with pytest.raises(ValueError, match="uint8 codes or float32 values, got float64"):
        encode_vlad(values.astype(float), offsets, make_kmeans())
    with pytest.raises(ValueError, match="offsets must rise"):
        encode_vlad(values, offsets[:-1], make_kmeans())
