"""Windows laid out in parts, against lists of arrays. What goes in is tested in test_feed."""

import numpy as np
import pytest
import torch

from yt8m_spark.deep.packing import cut_parts, join_parts, pack_window

LENGTHS = [2, 0, 4, 1, 3]
LABELS = [[0, 4], [], [1], [2], []]
ORDER = np.array([3, 0, 4, 2, 1])


def make_window(cuts):
    rng = np.random.default_rng(0)
    frames = [
        [rng.integers(1, 256, (length, width), dtype=np.uint8) for width in (3, 2)]
        for length in LENGTHS
    ]
    offsets = np.cumsum([0, *map(len, LABELS)])
    flat = np.concatenate([np.array(labels, np.int64) for labels in LABELS])
    return frames, pack_window(frames, (offsets, flat), ORDER, cuts)


@pytest.mark.parametrize("cuts", [[0, 5], [0, 2, 5], [0, 1, 4, 5], [0, 1, 2, 3, 4, 5]])
def test_parts_hold_the_videos_in_their_order(cuts):
    frames, packed = make_window(cuts)
    parts = list(cut_parts(packed, 5))
    for part, lo, hi in zip(parts, cuts, cuts[1:], strict=False):
        lengths = [LENGTHS[video] for video in ORDER[lo:hi]]
        assert part.n_frames.tolist() == lengths
        assert part.codes.shape == (hi - lo, max(*lengths, 1), 5)
        for row, video in enumerate(ORDER[lo:hi]):
            kept = part.codes[row, : LENGTHS[video]].numpy()
            np.testing.assert_array_equal(kept, np.hstack(frames[video]))
            assert not part.codes[row, LENGTHS[video] :].any()
        labels = list(zip(part.label_rows.tolist(), part.label_columns.tolist(), strict=True))
        assert labels == [
            (row, label) for row, video in enumerate(ORDER[lo:hi]) for label in LABELS[video]
        ]


@pytest.mark.parametrize("cuts", [[0, 2, 5], [0, 1, 4, 5]])
def test_joined_parts_are_those_of_one(cuts):
    whole = next(cut_parts(make_window([0, 5])[1], 5))
    joined = join_parts(list(cut_parts(make_window(cuts)[1], 5)))
    for one, other in zip(whole, joined, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_batch_that_is_one_part_is_not_copied():
    _, packed = make_window([0, 2, 5])
    last = join_parts([list(cut_parts(packed, 5))[1]])
    end = packed.codes.data_ptr() + packed.codes.numel()
    assert last.codes.data_ptr() + last.codes.numel() == end
    assert last.codes.is_contiguous()
