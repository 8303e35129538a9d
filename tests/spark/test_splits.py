"""Splits told by names. What is read of them is tested in test_video_facts.py."""

import pytest

from yt8m_spark.spark.splits import split_of


@pytest.mark.parametrize(
    ("shard", "split"),
    [
        ("train0093.tfrecord", "train"),
        ("trainpj.tfrecord", "train"),
        ("/data/test/validatezz.tfrecord", "validate"),
        ("test00.tfrecord.gz", "test"),
        ("bal_train00.tfrecord", "all"),
        ("shard.tfrecord", "all"),
        ("", "all"),
        (None, "all"),
    ],
)
def test_split_of_a_name(shard, split):
    assert split_of(shard) == split
