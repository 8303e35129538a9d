"""The order of an epoch by brute force. That shards are read in it is tested in test_feed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yt8m_spark.deep.order import Piece, rank_windows, share_videos, window_order
from yt8m_spark.errors import InputError


@st.composite
def epochs(draw):
    """Units, ranks, videos of a rank's step and of a window, and a seed with an epoch."""
    world_size = draw(st.integers(1, 5))
    sizes = st.lists(st.integers(1, 30), min_size=world_size, max_size=12)
    counts = np.array(draw(sizes), np.int64)
    batch_size = world_size * draw(st.integers(1, 9))
    return counts, world_size, batch_size, draw(st.integers(1, 40)), draw(st.integers(0, 9))


def windows_of(counts, shares, rank, shuffle_videos, seed=0, epoch=0):
    span = shares.of_rank(rank)
    return rank_windows(counts, span, seed=seed, epoch=epoch, shuffle_videos=shuffle_videos)


@given(epochs())
@settings(max_examples=200, deadline=None)
def test_every_video_comes_once_over_all_ranks(case):
    counts, world_size, batch_size, shuffle_videos, seed = case
    shares = share_videos(counts, world_size, batch_size)
    seen = [
        (piece.unit, video)
        for rank in range(world_size)
        for window in windows_of(counts, shares, rank, shuffle_videos, seed, seed + 1)
        for piece in window.pieces
        for video in range(piece.start, piece.stop)
    ]
    expected = [(unit, video) for unit, count in enumerate(counts) for video in range(count)]
    assert sorted(seen) == expected


@given(epochs())
@settings(max_examples=200, deadline=None)
def test_windows_follow_one_another_and_are_no_larger_than_allowed(case):
    counts, world_size, batch_size, shuffle_videos, seed = case
    shares = share_videos(counts, world_size, batch_size)
    for rank in range(world_size):
        n_before = 0
        for window in windows_of(counts, shares, rank, shuffle_videos, seed):
            assert window.first == n_before
            assert 1 <= window.n_videos <= shuffle_videos
            n_before += window.n_videos
        start, stop = shares.of_rank(rank)
        assert n_before == stop - start


@given(epochs())
@settings(max_examples=200, deadline=None)
def test_ranks_take_the_same_steps_and_none_is_without_a_video(case):
    counts, world_size, batch_size, _, _ = case
    shares = share_videos(counts, world_size, batch_size)
    ends = [shares.batch_ends(rank) for rank in range(world_size)]
    assert {len(one) for one in ends} == {shares.n_steps}
    sizes = np.array([np.diff(one, prepend=0) for one in ends])  # (ranks, steps)
    each = batch_size // world_size
    assert (sizes[:, :-1] == each).all()
    assert sizes[:, -1].min() >= 1
    assert sizes[:, -1].max() <= each + 1
    assert sizes.sum(axis=1).max() - sizes.sum(axis=1).min() <= 1
    told = [shares.step_videos(step) for step in range(shares.n_steps)]
    assert told == sizes.sum(axis=0).tolist()
    assert sum(told) == counts.sum()


def test_units_that_fit_are_never_cut_but_where_ranks_meet():
    counts = np.full(40, 6, np.int64)
    shares = share_videos(counts, 2, 4)  # 120 videos each: 20 units
    for rank in range(2):
        windows = windows_of(counts, shares, rank, 20)
        assert {len(window.pieces) for window in windows} == {3, 2}  # 20 units = 6 x 3 + 2
        assert all(piece[1:] == (0, 6) for window in windows for piece in window.pieces)


def test_a_unit_larger_than_a_window_is_cut_into_equal_ones():
    windows = windows_of(np.array([10]), share_videos(np.array([10]), 1, 1), 0, 4)
    pieces = [window.pieces for window in windows]
    assert pieces == [(Piece(0, 0, 3),), (Piece(0, 3, 6),), (Piece(0, 6, 10),)]


def test_units_come_in_another_order_in_each_epoch_and_in_the_same_again():
    counts = np.full(30, 2, np.int64)
    shares = share_videos(counts, 1, 4)
    first, second, again = (windows_of(counts, shares, 0, 4, epoch=epoch) for epoch in (0, 1, 0))
    assert first == again != second


def test_windows_are_shuffled_apart_from_each_other():
    orders = {
        tuple(window_order(50, seed=1, epoch=epoch, rank=rank, window=window))
        for epoch in range(2)
        for rank in range(2)
        for window in range(2)
    }
    assert len(orders) == 8
    assert all(sorted(order) == list(range(50)) for order in orders)


def test_fewer_shards_or_videos_than_ranks_are_refused():
    with pytest.raises(InputError, match=r"fewer shards than ranks .* 3 shards or more.* found 2"):
        share_videos(np.array([5, 5]), 3, 3)
    with pytest.raises(InputError, match=r"fewer videos than ranks .* 3 videos or more.* found 2"):
        share_videos(np.array([1, 1, 0]), 3, 3)


@pytest.mark.parametrize("batch_size", [0, 5])
def test_a_batch_that_ranks_cannot_share_is_refused(batch_size):
    with pytest.raises(InputError, match=f"multiple of the 2 ranks.* found {batch_size}"):
        share_videos(np.array([5, 5]), 2, batch_size)
