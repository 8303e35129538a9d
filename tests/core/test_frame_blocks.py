"""How videos are laid side by side. Statistics of the blocks are tested in test_statistics."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.core.frame_blocks import shelves


def make_frames(lengths, d=4):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.arange(offsets[-1] * d, dtype=np.float32).reshape(-1, d), offsets


@pytest.mark.parametrize("d", [4, 3000])  # many videos a block; few
def test_every_video_with_frames_is_in_one_block_whole(d):
    lengths = np.random.default_rng(0).integers(0, 40, 60)
    frames, offsets = make_frames(lengths, d)
    seen = []
    for shelf in shelves(frames, offsets):
        videos = iter(shelf.videos)
        for block in shelf.blocks:
            for column, n_frames in enumerate(block.lengths):
                video = next(videos)
                seen.append(video)
                assert_array_equal(
                    block.rows[:n_frames, column], frames[offsets[video] : offsets[video + 1]]
                )
        assert next(videos, None) is None
        assert_array_equal(shelf.lengths, lengths[shelf.videos])
    assert sorted(seen) == list(np.flatnonzero(lengths))


def test_rows_below_a_shorter_video_repeat_its_last_frame_and_can_be_filled():
    frames, offsets = make_frames((4, 3), d=1)
    (block,) = next(shelves(frames, offsets)).blocks
    assert_array_equal(block.columns, [[0, 4], [1, 5], [2, 6], [3, 6]])
    block.fill(-1)
    assert_array_equal(block.columns, [[0, 4], [1, 5], [2, 6], [3, -1]])
    assert_array_equal(frames.ravel(), np.arange(7))


def test_a_long_video_is_a_view():
    frames, offsets = make_frames((9, 300), d=1024)
    blocks = next(shelves(frames, offsets)).blocks
    assert [len(block.rows) for block in blocks] == [300, 9]
    assert np.shares_memory(blocks[0].rows, frames)


def test_much_shorter_videos_are_not_padded():
    frames, offsets = make_frames((10, 2, 9, 2))
    assert [list(block.lengths) for block in next(shelves(frames, offsets)).blocks] == [
        [10, 9],
        [2, 2],
    ]
