"""Distributions of lengths and labels against NumPy. Counts are tested in test_profile.py."""

import numpy as np
import pytest

from yt8m_spark.spark.profile_splits import profile_splits, splits_of
from yt8m_spark.spark.video_facts import FACTS


def facts(spark, lengths, labels=None, split="train"):
    labels = [[1]] * len(lengths) if labels is None else labels
    rows = [
        (f"v{i}", split, found, n, 0, [])
        for i, (n, found) in enumerate(zip(lengths, labels, strict=True))
    ]
    return spark.createDataFrame(rows, FACTS)


def test_splits_come_in_their_usual_order():
    assert splits_of(["b", "all", "test", "a", "train", "test"]) == [
        "train", "test", "all", "a", "b",
    ]  # fmt: skip


@pytest.mark.parametrize("highest", [10, 300, 5000])
def test_quantiles_and_histogram_are_numpys(spark, highest):
    lengths = np.random.default_rng(highest).integers(0, highest, size=101)
    found = profile_splits(facts(spark, lengths.tolist()))["train"].lengths
    assert [found.minimum, found.maximum] == [lengths.min(), lengths.max()]
    quartiles = np.quantile(lengths, [0.25, 0.5, 0.75])
    np.testing.assert_allclose([found.quartile_1, found.median, found.quartile_3], quartiles)
    np.testing.assert_allclose(found.mean, lengths.mean())
    assert len(found.bins) <= 60
    edges = np.arange(len(found.bins) + 1.0) * found.bin_width
    if len(found.bins) == 60:
        edges[-1] = np.inf
    assert found.bins == np.histogram(lengths, edges)[0].tolist()
    assert sum(found.bins) == len(lengths)


def test_one_endless_video_does_not_squeeze_the_histogram(spark):
    found = profile_splits(facts(spark, [*([1, 2, 3] * 1000), 1_000_000]))["train"].lengths
    assert found.maximum == 1_000_000
    assert found.bin_width == 1
    assert found.bins == [0, 1000, 1000, 1000, *[0] * 55, 1]


def test_all_splits_have_bins_of_one_width(spark):
    both = facts(spark, [1, 2, 3]).union(facts(spark, [600], split="test"))
    found = profile_splits(both)
    assert found["train"].lengths.bin_width == found["test"].lengths.bin_width == 11


def test_labels_count_once_and_null_is_none(spark):
    found = profile_splits(facts(spark, [1, 1, 1, 1], [[4, 4, 5], [7], [], None]))["train"]
    assert found.labels.bins == [2, 1, 1]
    assert found.n_unlabelled == 2
    assert found.unlabelled_share == 2 / 4


def test_lengths_that_nobody_tells(spark):
    found = profile_splits(facts(spark, [None, None]))["train"]
    assert found.lengths is None
    assert found.n_frames is None


def test_lengths_told_by_one_split_alone(spark):
    both = facts(spark, [None]).union(facts(spark, [5], split="test"))
    found = profile_splits(both)
    assert found["train"].lengths is None
    assert found["test"].lengths.bins == [0, 0, 0, 0, 0, 1]
