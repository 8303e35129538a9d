"""The order of videos in a pass; reading shards is tested in tests/spark/test_shards.py."""

import numpy as np
from numpy.testing import assert_array_equal

from yt8m_spark.core.chunks import Chunk
from yt8m_spark.core.video_order import videos_of_pass

SIZES = (5, 0, 7, 3)
STARTS = (0, 5, 5, 12)


def read(number, rows):
    """Videos of a shard whose one feature is their number among all of them."""
    features = (STARTS[number] + rows)[:, None].astype(np.float32)
    return Chunk(features, np.zeros(len(rows) + 1, np.int64), np.empty(0, np.int32))


def order(epoch=0, seed=0, skip=0):
    chunks = list(videos_of_pass(SIZES, read, seed, epoch, skip))
    return np.concatenate([chunk.features[:, 0] for chunk in chunks]) if chunks else np.empty(0)


def test_a_pass_sees_every_video_once():
    assert_array_equal(np.sort(order()), np.arange(15))


def test_seed_and_pass_decide_about_the_order():
    assert_array_equal(order(1, 2), order(1, 2))
    assert (order(0) != order(1)).any()
    assert (order(0, seed=0) != order(0, seed=1)).any()


def test_videos_of_a_shard_are_shuffled_and_so_are_the_shards():
    orders = np.array([order(epoch) for epoch in range(20)])
    assert len({tuple(o.tolist()) for o in orders}) == 20
    assert len(set(orders[:, 0].tolist())) > 5
    inside = [o[o < 5].tolist() for o in orders]
    assert len({tuple(o) for o in inside}) > 10


def test_what_is_left_out_at_the_front_is_what_comes_first():
    whole = order(3)
    for skip in range(16):
        assert_array_equal(order(3, skip=skip), whole[skip:])
