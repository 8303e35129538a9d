"""Duplicate and shared ids against sets. Where facts come from is tested in test_video_facts.py."""

from collections import Counter
from itertools import combinations

import numpy as np

from yt8m_spark.spark.profile_ids import profile_ids
from yt8m_spark.spark.video_facts import FACTS

SPLITS = ["train", "validate", "test", "my split.`x`"]


def test_duplicates_and_overlaps_against_sets(spark):
    rng = np.random.default_rng(0)
    ids = {split: rng.integers(0, 200, size=40).tolist() for split in SPLITS[1:]}
    ids["train"] = [*range(1000, 1100), 1000, 1000, 1001]
    rows = [(f"{i:04d}", s, [], 1, 1, []) for s, found in ids.items() for i in found]
    duplicates, overlaps = profile_ids(spark.createDataFrame(rows, FACTS).repartition(3), SPLITS)
    for split in SPLITS:
        twice = sorted(i for i, n in Counter(ids[split]).items() if n > 1)
        assert duplicates[split].n_ids == len(twice)
        assert duplicates[split].examples == [f"{i:04d}" for i in twice[:10]]
        assert duplicates[split].n_extra_videos == len(ids[split]) - len(set(ids[split]))
    assert [overlap.splits for overlap in overlaps] == list(combinations(SPLITS, 2))
    for overlap in overlaps:
        first, second = overlap.splits
        both = sorted(set(ids[first]) & set(ids[second]))
        assert overlap.n_ids == len(both)
        assert overlap.examples == [f"{i:04d}" for i in both[:10]]
    assert any(overlap.n_ids > 0 for overlap in overlaps)


def test_one_split_has_nothing_to_share(spark):
    facts = spark.createDataFrame([("a", "all", [], 1, 1, [])], FACTS)
    duplicates, overlaps = profile_ids(facts, ["all"])
    assert duplicates["all"].n_ids == duplicates["all"].n_extra_videos == 0
    assert overlaps == []
