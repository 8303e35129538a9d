"""Statistics over the frames of many videos. Tables of videos are tested in tests/spark."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core import frame_blocks, statistics
from yt8m_spark.core.frame_pca import FramePca, ReluSpace
from yt8m_spark.core.quantization import LEVELS, dequantize
from yt8m_spark.core.statistics import (
    check_statistics,
    quantized_statistics,
    relu_statistics,
    statistic_width,
    value_statistics,
)

NAMES = ("mean", "std", "top5", "min", "max", "moment3", "top1", "top12")
# None, one, fewer than K, more rows than 8-bit sums or float32 squares can hold, equal ones.
LENGTHS = (3, 0, 1, 300, 6, 258, 10, 10, 10, 9, 4, 0, 514, 0)


def make_codes(lengths, d, seed=0):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return rng.integers(0, 256, size=(offsets[-1], d), dtype=np.uint8), offsets


def make_levels(d, seed=1):
    return np.sort(np.random.default_rng(seed).normal(size=(d, 256)), axis=1)


def brute_force(values, offsets, names):
    """By definition, one video at a time, in float64."""
    out = {name: [] for name in names}
    for start, stop in itertools.pairwise(offsets):
        for name in names:
            width = statistic_width(name, values.shape[1])
            frames = values[start:stop]
            out[name].append(one(frames, name) if len(frames) else np.full(width, np.nan))
    return {name: np.array(rows) for name, rows in out.items()}


def one(frames, name):
    deviations = frames - frames.mean(axis=0)
    if name.startswith("top"):
        ranks = np.minimum(np.arange(int(name[3:])), len(frames) - 1)
        return np.sort(frames, axis=0)[::-1][ranks].ravel()
    return {
        "mean": frames.mean(axis=0),
        "std": np.sqrt((deviations**2).mean(axis=0)),
        "moment3": (deviations**3).mean(axis=0),
        "min": frames.min(axis=0),
        "max": frames.max(axis=0),
    }[name]


def assert_close(found, expected, tolerance=1e-6):
    assert list(found) == list(expected)
    for name, values in found.items():
        assert values.dtype == np.float32
        assert_allclose(values, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


def test_statistics_by_hand():
    frames = np.float32([[1, 9], [2, 8], [3, 7], [4, 6], [5, 5], [6, 4], [7, 3]])
    found = value_statistics(frames, np.array([0, 7]))
    assert_allclose(found["mean"], [[4, 6]])
    assert_allclose(found["std"], [[2, 2]])  # sum of squares 28, divisor 7
    # Rank-major, best first: the largest of both features, then the second of both, ...
    assert_allclose(found["top5"], [[7, 9, 6, 8, 5, 7, 4, 6, 3, 5]])


def test_the_third_moment_by_hand():
    # Deviations -1, -1, 2: (-1 - 1 + 8) / 3.
    found = value_statistics(np.float32([[0], [0], [3]]), np.array([0, 3]), ["moment3"])
    assert_allclose(found["moment3"], [[2]])


@pytest.mark.parametrize(("n_frames", "expected"), [(1, [3, 3, 3, 3, 3]), (2, [3, 1, 1, 1, 1])])
def test_fewer_than_five_frames_repeat_the_smallest(n_frames, expected):
    frames = np.float32([[3], [1]])[:n_frames]
    found = value_statistics(frames, np.array([0, n_frames]), ["top5"])["top5"]
    assert_array_equal(found, np.float32([expected]))


# Each moment alone too: with others, the same sums are made in another way or at another time.
@pytest.mark.parametrize("names", [NAMES, ("mean",), ("std",), ("moment3",), ("min", "max")])
@pytest.mark.parametrize("d", [1, 7, 128, 333])
def test_statistics_of_codes_are_those_of_dequantized_frames(d, names):
    codes, offsets = make_codes(LENGTHS, d)
    low, step = float(LEVELS[0]), (float(LEVELS[255]) - float(LEVELS[0])) / 255
    expected = brute_force(low + step * codes.astype(np.float64), offsets, names)
    assert_close(quantized_statistics(codes, offsets, names), expected)


@pytest.mark.parametrize("shared", [True, False])
def test_statistics_of_codes_follow_any_rising_levels(shared):
    codes, offsets = make_codes(LENGTHS, 5)
    levels = make_levels(1)[0] if shared else make_levels(5)
    values = levels[codes] if shared else levels[np.arange(5), codes]
    found = quantized_statistics(codes, offsets, NAMES, levels)
    assert_close(found, brute_force(values, offsets, NAMES))


@pytest.mark.parametrize("names", [NAMES, ("mean", "std")])
def test_thousands_of_frames_lose_nothing(names):
    # All codes at the upper end: the largest sums there are, and a spread of one step.
    codes, offsets = make_codes((5000, 4999), 3)
    codes |= 254
    expected = brute_force(LEVELS[0].astype(float) + 4 / 255 * codes, offsets, names)
    assert_close(quantized_statistics(codes, offsets, names), expected, 3e-7)


def test_frames_that_do_not_vary_have_exactly_no_spread():
    codes = np.full((300, 3), 255, np.uint8)
    found = quantized_statistics(codes, np.array([0, 300]), ["std", "moment3"])
    for values in found.values():
        assert_array_equal(values, np.zeros((1, 3), np.float32))


def test_order_statistics_are_levels_to_the_last_bit():
    codes, offsets = make_codes((40, 2), 6)
    found = quantized_statistics(codes, offsets, ["max", "min"])
    for video, (start, stop) in enumerate(((0, 40), (40, 42))):
        assert_array_equal(found["max"][video], dequantize(codes[start:stop].max(axis=0)))
        assert_array_equal(found["min"][video], dequantize(codes[start:stop].min(axis=0)))


@pytest.mark.parametrize("block_bytes", [1, 700, 1 << 18])
def test_how_videos_share_blocks_changes_nothing(monkeypatch, block_bytes):
    codes, offsets = make_codes(LENGTHS, 16)
    expected = quantized_statistics(codes, offsets, NAMES)
    monkeypatch.setattr(frame_blocks, "_BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(frame_blocks, "_SHELF_COLUMNS", 40)
    for name, values in quantized_statistics(codes, offsets, NAMES).items():
        assert_array_equal(values, expected[name])


def test_order_of_frames_changes_nothing():
    codes, offsets = make_codes((50,), 7)
    turned = quantized_statistics(codes[::-1], offsets)
    for name, values in quantized_statistics(codes, offsets).items():
        assert_array_equal(values, turned[name])


def test_codes_may_be_read_only_and_stay_as_they_are():
    codes, offsets = make_codes(LENGTHS, 4)
    before = codes.copy()
    codes.flags.writeable = False
    quantized_statistics(codes, offsets, NAMES)
    assert_array_equal(codes, before)


def test_a_video_without_frames_has_nan_and_no_other_has():
    codes, offsets = make_codes((0, 2, 0), 3)
    for values in quantized_statistics(codes, offsets, NAMES).values():
        assert_array_equal(np.isnan(values).all(axis=1), [True, False, True])
        assert not np.isnan(values[1]).any()


@pytest.mark.parametrize("n_videos", [0, 2])
def test_no_frames_at_all_give_empty_statistics(n_videos):
    found = quantized_statistics(np.empty((0, 3), np.uint8), np.zeros(n_videos + 1, np.int64))
    assert found["top5"].shape == (n_videos, 15)


def make_space(d, m, levels=LEVELS, seed=0):
    rng = np.random.default_rng(seed)
    components = np.linalg.qr(rng.normal(size=(m, d)))[0].T
    pca = FramePca(
        rng.uniform(0.1, 1.1, m).astype(np.float32),
        components.astype(np.float32),
        rng.uniform(0.05, 3.8, d).astype(np.float32),
    )
    return pca, ReluSpace(pca, levels)


@pytest.mark.parametrize("code", ["released", "shared", "each feature"])
def test_relu_statistics_are_those_of_rebuilt_activations(code, monkeypatch):
    monkeypatch.setattr(statistics, "_FRAMES_AT_ONCE", 300)  # several runs, one longer video
    codes, offsets = make_codes(LENGTHS, 13)
    levels = {"released": LEVELS, "shared": make_levels(1)[0], "each feature": make_levels(13)}
    pca, space = make_space(13, 29, levels[code])
    table = np.broadcast_to(np.atleast_2d(levels[code]), (13, 256)).astype(np.float64)
    whitened = table[np.arange(13), codes]
    activations = np.maximum((whitened * pca.scale) @ pca.components + pca.mean, 0)
    found = relu_statistics(codes, offsets, NAMES, space)
    # float32 products of values up to 8; a third moment is a few hundred.
    assert_close(found, brute_force(activations, offsets, NAMES), 1e-5)


def test_relu_statistics_are_never_below_zero():
    space = ReluSpace(FramePca(np.full(2, -9.0), np.eye(2), np.ones(2)))
    codes, offsets = make_codes((3,), 2)
    for values in relu_statistics(codes, offsets, NAMES, space).values():
        assert_array_equal(values, np.zeros_like(values))


def test_a_pca_of_another_width_is_refused():
    codes, offsets = make_codes((3,), 7)
    with pytest.raises(ValueError, match=r"must be \(F, 2\), got \(3, 7\)"):
        relu_statistics(codes, offsets, ["mean"], make_space(2, 4)[1])


@pytest.mark.parametrize("offsets", [[0, 2], [1, 3], [0, 2, 1, 3], []])
def test_offsets_that_do_not_cover_the_frames_are_refused(offsets):
    with pytest.raises(ValueError, match="offsets must rise from 0 to 3"):
        quantized_statistics(make_codes((3,), 2)[0], np.array(offsets, np.int64))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((3, 2), np.float32), "must be uint8, got float32"),
        (np.zeros((3, 0), np.uint8), r"got \(3, 0\)"),
        (np.zeros(3, np.uint8), r"got \(3,\)"),
    ],
)
def test_what_is_no_matrix_of_codes_is_refused(codes, message):
    with pytest.raises(ValueError, match=message):
        quantized_statistics(codes, np.array([0, 3]))


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (np.arange(255.0), r"must be \(256,\) or \(2, 256\), got \(255,\)"),
        (np.zeros((3, 256)), r"got \(3, 256\)"),
        (-np.arange(256.0), "never fall"),
        (np.full(256, np.nan), "finite"),
    ],
)
def test_levels_that_do_not_fit_are_refused(levels, message):
    codes, offsets = make_codes((3,), 2)
    with pytest.raises(ValueError, match=message):
        quantized_statistics(codes, offsets, ["mean"], levels)


def test_only_what_is_asked_for_comes_in_the_order_asked():
    assert list(quantized_statistics(*make_codes((3,), 2), ["top5", "mean"])) == ["top5", "mean"]


@pytest.mark.parametrize("names", [["median"], ["top0"], ["top101"], ["top05"], ["top"], []])
def test_an_unknown_statistic_is_refused(names):
    expected = names[0] if names else "none"
    with pytest.raises(ValueError, match=f"must be of mean, std, top5, .* got {expected}"):
        check_statistics(names)


def test_a_statistic_twice_is_refused():
    with pytest.raises(ValueError, match="each once, got mean, mean"):
        check_statistics(["mean", "mean"])


def test_widths_of_statistics():
    assert [statistic_width(name, 10) for name in NAMES] == [10, 10, 50, 10, 10, 10, 10, 120]
