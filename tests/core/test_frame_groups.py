"""Videos of different length in one array. What networks make of it: tests/test_network_scorer."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.core.frame_groups import length_groups, padded_codes
from yt8m_spark.core.frame_sampling import FrameLists


@pytest.mark.parametrize("at_once", [1, 7, 40, 10_000])
def test_each_video_with_frames_is_in_one_group_of_bounded_size(at_once):
    counts = np.random.default_rng(0).integers(0, 30, 200)
    groups = list(length_groups(counts, at_once))
    assert sorted(np.concatenate(groups)) == np.flatnonzero(counts).tolist()
    for group in groups:
        assert len(group) == 1 or len(group) * counts[group].max() <= at_once
    longest_first = counts[np.concatenate(groups)]
    assert (np.diff(longest_first) <= 0).all()  # so a group has little padding


def test_without_frames_there_are_no_groups():
    assert list(length_groups(np.zeros(3, np.int64), 10)) == []
    assert list(length_groups(np.zeros(0, np.int64), 10)) == []


def test_codes_stand_side_by_side_up_to_the_seconds_that_all_lists_have():
    # Two videos, 2 and 1 frames of a first list of two codes, 3 and 1 of a second of one.
    first = np.array([[1, 2], [3, 4], [5, 6]], np.uint8)
    second = np.array([[7], [8], [9], [10]], np.uint8)
    lists = FrameLists([first, second], [np.array([0, 2, 3]), np.array([0, 3, 4])])
    expected = [[[5, 6, 10], [0, 0, 0]], [[1, 2, 7], [3, 4, 8]]]
    assert_array_equal(padded_codes(lists, np.array([1, 0])), expected)
    assert padded_codes(lists, np.array([1])).shape == (1, 1, 3)
