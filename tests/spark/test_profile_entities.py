"""Counts against the vocabulary, by hand. Counting by Spark is tested in test_profile.py."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from yt8m_spark.formats.vocabulary_details import VocabularyDetails
from yt8m_spark.spark.profile_entities import (
    EntityCounts,
    compare_with_vocabulary,
    entity_table,
)

DETAILS = VocabularyDetails(
    np.array([0, 1, 2, 3, 4]),
    {0: "zero", 1: "one", 2: "two"},
    {0: 100, 1: 60, 2: 20, 3: 20, 4: 0},
    {0: ("Games", "Sports"), 2: ("Food",)},
)
COUNTS = EntityCounts(
    ["train", "test"],
    np.array([0, 1, 2, 3, 4, 8, 9]),
    np.array([[10, 0], [0, 0], [6, 1], [4, 0], [0, 0], [2, 0], [5, 0]]),
)


def test_a_split_against_the_vocabulary_by_hand():
    found = compare_with_vocabulary(COUNTS, "train", DETAILS)
    assert found.n_unseen == 2
    assert found.unseen == [1, 4]  # the more frequent first
    assert found.n_outside == 2
    assert found.outside == [9, 8]
    assert found.n_outside_labels == 7
    assert found.ratio == 20 / 200
    expected = spearmanr([10, 0, 6, 4, 0], [100, 60, 20, 20, 0]).statistic
    assert found.rank_correlation == pytest.approx(expected)
    # Expected are 10, 6, 2, 2, 0; entities 2, 1 and 3 are 4/sqrt(2), -6/sqrt(6), 2/sqrt(2) off.
    assert [worst.entity for worst in found.worst] == [2, 1, 3]
    assert found.worst[0].name == "two"
    assert found.worst[0].n_videos == 6
    assert found.worst[0].expected == pytest.approx(2)
    assert [worst.deviation for worst in found.worst] == pytest.approx(
        [4 / 2**0.5, -(6**0.5), 2**0.5]
    )


def test_a_vocabulary_without_counts_tells_only_what_occurs():
    details = DETAILS._replace(video_counts={})
    found = compare_with_vocabulary(COUNTS, "test", details)
    assert found.n_unseen == 4
    assert found.unseen == [0, 1, 3, 4]
    assert found.ratio is None
    assert found.rank_correlation is None
    assert found.worst == []


def test_the_table_of_entities_by_hand():
    table = entity_table(COUNTS, "train", DETAILS).to_pydict()
    assert list(table) == [
        "entity", "name", "vertical", "verticals", "in_vocabulary", "n_train", "n_test",
        "vocabulary_count", "ratio",
    ]  # fmt: skip
    assert table["entity"] == [0, 1, 2, 3, 4, 8, 9]
    assert table["name"] == ["zero", "one", "two", None, None, None, None]
    assert table["vertical"] == ["Games", None, "Food", None, None, None, None]
    assert table["verticals"][0] == ["Games", "Sports"]
    assert table["in_vocabulary"] == [True] * 5 + [False] * 2
    assert table["n_train"] == [10, 0, 6, 4, 0, 2, 5]
    assert table["n_test"] == [0, 0, 1, 0, 0, 0, 0]
    assert table["vocabulary_count"] == [100, 60, 20, 20, 0, None, None]
    assert table["ratio"] == [10 / 100, 0, 6 / 20, 4 / 20, None, None, None]
