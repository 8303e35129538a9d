"""Which windows are asked for. What is in them is tested in test_feed."""

import numpy as np
import pytest
from frame_shards import WIDTHS, make_videos, write_tfrecords

from yt8m_spark.deep.feed_options import FeedOptions
from yt8m_spark.deep.order import share_videos
from yt8m_spark.deep.shard_index import index_shards
from yt8m_spark.deep.windows import WindowKeys, Windows


@pytest.fixture
def windows(tmp_path):
    """Windows of 3, 3 and 4 videos, for steps of 2."""
    index = index_shards(write_tfrecords(tmp_path / "shards", make_videos(10), [10]))
    options = FeedOptions(widths=WIDTHS, batch_size=2, shuffle_videos=4, sampling="all")
    return Windows(index, np.arange(10), options, share_videos(index.counts, 1, 2), 0)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, [0, 1, 2]), (1, [0, 1, 2]), (2, [1, 2]), (3, [2]), (4, [2]), (5, [])],
)
def test_a_pass_begins_with_the_window_that_has_the_next_video(windows, step, expected):
    # Videos 0-2, 3-5 and 6-9; step s takes 2 s and 2 s + 1.
    keys = list(WindowKeys(windows).begin(1, step, 3))
    assert keys == [*((1, number) for number in expected), (2, 0), (2, 1), (2, 2)]


def test_parts_end_with_steps_and_with_windows(windows):
    assert windows.steps_of(0, 0) == ([0, 1], [True, False])
    assert windows.steps_of(0, 1) == ([1, 2], [True, True])
    assert windows.steps_of(0, 2) == ([3, 4], [True, True])
    assert windows[0, 0].shapes[:, 0].tolist() == [2, 1]
    assert windows[0, 1].shapes[:, 0].tolist() == [1, 2]


def test_windows_of_two_epochs_under_way_are_known_at_once(windows):
    first, second = windows.of_epoch(0), windows.of_epoch(1)
    assert windows.of_epoch(0) is first
    assert windows.of_epoch(1) is second
