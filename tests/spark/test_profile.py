"""The whole profile of planted faults, against plain Python.

Single parts: test_profile_splits.py, test_profile_ids.py, test_profile_entities.py.
"""

from collections import Counter

import numpy as np
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.vocabulary_details import VocabularyDetails
from yt8m_spark.spark.profile import profile_videos
from yt8m_spark.spark.video_facts import FACTS

DETAILS = VocabularyDetails(
    np.array([0, 1, 2, 3]),
    {0: "zero", 1: "one"},
    {0: 100, 1: 50, 2: 10, 3: 5},
    {0: ("Games", "Sports"), 1: ("Sports",), 2: ("Food",)},
)


@pytest.fixture(scope="module")
def videos():
    """Facts with ids that come twice, in both splits, labels outside the vocabulary, and none."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(200):
        split = "train" if i < 140 else "validate"
        labels = rng.choice([0, 0, 0, 1, 1, 2, 9], size=rng.integers(0, 4)).tolist()
        flags = [name for name, share in (("zero_rgb", 0.1), ("no_frames", 0.05))
                 if rng.random() < share]  # fmt: skip
        rows.append([f"v{i:03d}", split, labels, int(rng.integers(0, 300)), 10 * i, flags])
    rows[5][0] = rows[6][0] = rows[7][0]  # one id three times in train
    rows[150][0] = rows[5][0]  # and in validate
    rows[151][0], rows[152][0] = rows[20][0], rows[21][0]
    return rows


@pytest.fixture(scope="module")
def profile(spark, videos):
    return profile_videos(spark.createDataFrame(videos, FACTS).repartition(3), DETAILS)


def test_figures_against_plain_python(profile, videos):
    assert list(profile.splits) == ["train", "validate"]
    for split, found in profile.splits.items():
        rows = [row for row in videos if row[1] == split]
        assert found.n_videos == len(rows)
        assert found.n_unlabelled == sum(not row[2] for row in rows)
        assert found.n_frames == sum(row[3] for row in rows)
        assert found.n_bytes == sum(row[4] for row in rows)
        assert found.flags == Counter(flag for row in rows for flag in row[5])
        counts = Counter(entity for row in rows for entity in set(row[2]))
        table = profile.entities.to_pylist()
        assert {row["entity"]: row[f"n_{split}"] for row in table} == {
            entity: counts[entity] for entity in (0, 1, 2, 3, 9)
        }
        for vertical in profile.verticals:
            entities = {e for e, of in DETAILS.verticals.items() if vertical.vertical in of}
            assert vertical.n_videos[split] == sum(bool(entities & set(row[2])) for row in rows)
            assert vertical.n_entities == len(entities)
        assert profile.vocabulary[split].n_outside_labels == counts[9]
    assert [v.vertical for v in profile.verticals] == ["Sports", "Food", "Games"]


def test_planted_ids_are_found(profile):
    assert profile.duplicates["train"].examples == ["v007"]
    assert profile.duplicates["train"].n_extra_videos == 2
    assert profile.duplicates["validate"].n_ids == 0
    (overlap,) = profile.overlaps
    assert overlap.splits == ("train", "validate")
    assert overlap.examples == ["v007", "v020", "v021"]


def test_without_a_vocabulary_only_counts_are_known(spark, videos):
    profile = profile_videos(spark.createDataFrame(videos, FACTS))
    assert profile.vocabulary == {}
    assert profile.verticals == []
    assert profile.vocabulary_slope is None
    table = profile.entities
    assert table["entity"].to_pylist() == [0, 1, 2, 9]
    for name in ("name", "vertical", "verticals", "in_vocabulary", "vocabulary_count", "ratio"):
        assert table[name].null_count == 4


def test_a_split_without_labels_is_not_compared(spark):
    rows = [["a", "train", [0], 1, 1, []], ["b", "test", [], 1, 1, []]]
    profile = profile_videos(spark.createDataFrame(rows, FACTS), DETAILS)
    assert profile.labelled_splits == ["train"]
    assert list(profile.vocabulary) == ["train"]
    assert profile.zipf_slopes == {"train": None}  # one entity has no slope


def test_no_videos_are_refused(spark):
    with pytest.raises(InputError, match="no videos"):
        profile_videos(spark.createDataFrame([], FACTS))
