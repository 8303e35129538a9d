"""Which frames of a video are taken, and their vectors. Tables: tests/spark/test_frame_sampling."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.frame_sampling import (
    FrameLists,
    FrameOptions,
    choose_frames,
    sample_videos,
)
from yt8m_spark.errors import InputError


def make_lists(rgb_lengths, audio_lengths, seed=0):
    rng = np.random.default_rng(seed)
    codes = [
        rng.integers(0, 256, size=(sum(lengths), width), dtype=np.uint8)
        for lengths, width in ((rgb_lengths, 4), (audio_lengths, 2))
    ]
    return FrameLists(codes, [np.cumsum([0, *n]) for n in (rgb_lengths, audio_lengths)])


def dequantized(code):
    return code.astype(float) * 4 / 255 + (4 / 512 - 2)  # the release's decoder


def test_a_video_of_fewer_frames_gives_all_it_has():
    assert choose_frames("a", 0, 3, 0).tolist() == []
    assert choose_frames("a", 2, 3, 0).tolist() == [0, 1]
    assert choose_frames("a", 3, 3, 0).tolist() == [0, 1, 2]


def test_frames_are_different_ascending_and_of_the_video():
    for number in range(50):
        frames = choose_frames(f"v{number}", 30, 20, 0)
        assert len(set(frames.tolist())) == 20
        assert (np.diff(frames) > 0).all()
        assert frames[0] >= 0
        assert frames[-1] < 30


def test_the_choice_is_that_of_video_and_seed():
    chosen = [choose_frames(i, 300, 20, seed).tolist() for i in ("a", "b") for seed in (0, 1)]
    assert len(set(map(tuple, chosen))) == 4
    assert chosen[0] == choose_frames("a", 300, 20, 0).tolist()


def test_every_frame_is_taken_as_often_as_any():
    n_videos, n_available, n_frames = 4000, 10, 3
    counts = np.zeros(n_available)
    for number in range(n_videos):
        counts[choose_frames(f"video {number}", n_available, n_frames, 5)] += 1
    share = n_frames / n_available
    deviation = np.sqrt(n_videos * share * (1 - share))  # of a binomial count
    assert np.abs(counts - n_videos * share).max() < 4 * deviation


def test_vectors_hold_the_lists_side_by_side():
    lists = make_lists([3, 2], [3, 2])
    videos, frames = np.array([1, 0]), np.array([0, 2])
    raw = lists.vectors(videos, frames, normalize=False)
    for row, place in enumerate((3, 2)):  # of all frames: video 1 begins at 3
        expected = [*dequantized(lists.codes[0][place]), *dequantized(lists.codes[1][place])]
        assert_allclose(raw[row], expected, rtol=1e-6)
    scaled = lists.vectors(videos, frames, normalize=True)
    assert_allclose(scaled, raw / np.linalg.norm(raw, axis=1, keepdims=True), rtol=1e-5)


def test_only_seconds_that_all_lists_have_are_frames():
    lists = make_lists([5, 0, 3, 4], [3, 2, 3, 6])
    assert lists.counts.tolist() == [3, 0, 3, 4]
    options = FrameOptions({"rgb": 4, "audio": 2}, n_frames=10)
    videos, frames = sample_videos(lists, ["a", "b", "c", "d"], options)
    assert videos.tolist() == [0, 0, 0, 2, 2, 2, 3, 3, 3, 3]
    assert frames.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3]
    raw = lists.vectors(videos, frames, normalize=False)
    assert_allclose(raw[3, 4:], dequantized(lists.codes[1][5]), rtol=1e-6)  # after 3 + 2


def test_videos_without_any_frames_give_no_examples():
    videos, frames = sample_videos(make_lists([0, 0], [0, 1]), ["a", "b"], FrameOptions({}))
    assert len(videos) == len(frames) == 0


def test_options_come_back_from_their_description_in_order():
    options = FrameOptions({"rgb": 4, "audio": 2}, normalize=False, n_frames=7, seed=3)
    described = options.describe()
    described["features"] = dict(sorted(described["features"].items()))  # as save_json does
    found = FrameOptions.from_description(described, "x")
    assert found == options
    assert list(found.features) == ["rgb", "audio"]
    assert found.width == 6


@pytest.mark.parametrize(
    "described",
    [[], {}, {"features": ["rgb"]}, {"features": {"rgb": "x"}}, {"features": {"rgb": 4}}],
)
def test_a_description_of_something_else_is_refused(described):
    with pytest.raises(InputError, match=r"not a description of frames in model\.json"):
        FrameOptions.from_description(described, "model.json")


def test_the_same_frames_come_wherever_a_video_stands():
    options = FrameOptions({"rgb": 4, "audio": 2}, n_frames=3, seed=1)
    alone = sample_videos(make_lists([9], [9]), ["b"], options)[1]
    videos, frames = sample_videos(make_lists([5, 9], [5, 9]), ["a", "b"], options)
    assert_array_equal(frames[videos == 1], alone)
