"""Codes to vectors, masks and labels. What networks make of them is tested elsewhere."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.frame_sampling import FrameLists
from yt8m_spark.deep.frames import frame_vectors, multi_hot, real_frames, split_frames


@pytest.mark.parametrize("normalize", [True, False])
def test_vectors_are_those_that_per_entity_models_see(normalize):
    codes = np.arange(512, dtype=np.uint16).astype(np.uint8).reshape(4, 128)
    lists = FrameLists([codes], [np.array([0, 4])])
    expected = lists.vectors(np.zeros(4, np.int64), np.arange(4), normalize=normalize)
    found = frame_vectors(torch.tensor(codes), normalize=normalize)
    assert found.dtype == torch.float32
    assert_allclose(found, expected, rtol=1e-5, atol=2e-7)


def test_codes_are_not_written_to():
    codes = torch.full((1, 2, 3), 7, dtype=torch.uint8)
    frame_vectors(codes, normalize=True)
    assert (codes == 7).all()


def test_a_video_has_its_first_frames():
    found = real_frames(torch.tensor([0, 2, 5]), 3)
    assert_array_equal(found, [[False] * 3, [True, True, False], [True] * 3])
    assert_array_equal(real_frames(torch.tensor([0, 2, 5]), 3, 3)[2], [True, True, False])


def test_labels_are_1_where_they_are_named():
    found = multi_hot(torch.tensor([0, 2, 2]), torch.tensor([1, 0, 3]), 3, 4)
    assert_array_equal(found, [[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]])


def test_frames_are_split_into_parts_of_which_the_last_is_shorter():
    codes = torch.arange(14, dtype=torch.uint8).reshape(1, 7, 2)
    parts = split_frames(codes, 3)
    assert [part.shape[1] for part in parts] == [3, 3, 1]
    assert torch.equal(torch.cat(parts, 1), codes)
    assert [part.shape for part in split_frames(codes[:, :0], 3)] == [(1, 1, 2)]
