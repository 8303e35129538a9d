"""A profile as text and JSON. Its figures are tested in tests/spark/test_profile*.py."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from yt8m_spark.profile_report import (
    profile_figures,
    profile_json,
    profile_warnings,
    split_rows,
    text_table,
)
from yt8m_spark.spark.profile import Profile
from yt8m_spark.spark.profile_entities import Comparison
from yt8m_spark.spark.profile_ids import Duplicates, Overlap
from yt8m_spark.spark.profile_splits import Distribution, SplitProfile

LABELS = Distribution(0, 1.0, 2.0, 2.5, 4, 2.0, 1, [1, 1, 2, 0, 1])
FINE = SplitProfile(
    n_videos=1000, n_unlabelled=0, n_bytes=4_200_000, n_frames=None, lengths=None, labels=LABELS,
    flags={},
)  # fmt: skip
NO_DUPLICATES = Duplicates(0, 0, [])
COMPARISON = Comparison(0, [], 0, 0, [], 0.5, 0.9, [])


def profile_of(**splits):
    return Profile(
        splits=splits,
        duplicates=dict.fromkeys(splits, NO_DUPLICATES),
        overlaps=[],
        entities=pa.table({}),
        n_entities=dict.fromkeys(splits, 3),
        zipf_slopes=dict.fromkeys(splits, -1.0),
        vocabulary_slope=None,
        vocabulary={},
        verticals=[],
    )


def test_nothing_is_warned_of_where_nothing_is_wrong():
    assert profile_warnings(profile_of(train=FINE, test=FINE)) == []


def test_leakage_and_duplicates_are_told_with_the_first_ids():
    profile = replace(
        profile_of(train=FINE, test=FINE),
        overlaps=[Overlap(("train", "test"), 1234, ["a", "b", "c", "d"])],
        duplicates={"train": Duplicates(2, 3, ["x", "y"]), "test": NO_DUPLICATES},
    )
    shared, twice = profile_warnings(profile)
    assert shared.startswith("1,234 ids are in both train and test")
    assert shared.endswith("(a, b, c, ...)")
    assert twice == "2 ids of train come more than once, 3 videos too many (x, y)"


@pytest.mark.parametrize(
    ("flag", "line"),
    [
        ("zero_mean_rgb", "25 (2.5 %) videos of train hold nothing but zeros in mean_rgb"),
        ("constant_rgb", "25 (2.5 %) videos of train hold one value or one frame throughout in"
                         " rgb"),
        ("not_finite_mean_rgb", "25 (2.5 %) videos of train hold NaN or infinity in mean_rgb"),
        ("empty_audio", "25 (2.5 %) videos of train have no audio"),
        ("no_frames", "25 (2.5 %) videos of train have no frames"),
    ],
)  # fmt: skip
def test_odd_features_are_told(flag, line):
    assert profile_warnings(profile_of(train=replace(FINE, flags={flag: 25}))) == [line]


def test_lists_of_different_lengths_are_usual():
    profile = profile_of(train=replace(FINE, flags={"lists_differ": 25}))
    assert profile_warnings(profile) == []
    assert ["videos that have feature lists of different lengths", "25 (2.5 %)"] in split_rows(
        profile
    )


def test_unlabelled_videos_are_a_fault_but_in_a_test_split_that_has_no_labels():
    none = replace(FINE, n_unlabelled=1000)
    assert profile_warnings(profile_of(test=none)) == []
    assert profile_warnings(profile_of(train=none)) == [
        "1,000 (100 %) videos of train have no label"
    ]
    assert len(profile_warnings(profile_of(test=replace(FINE, n_unlabelled=1)))) == 1


def test_labels_outside_the_vocabulary_and_entities_without_videos_are_told():
    compared = replace(COMPARISON, n_outside=1, n_outside_labels=20, outside=[9], n_unseen=4)
    profile = replace(profile_of(train=FINE), vocabulary={"train": compared})
    assert profile_warnings(profile) == [
        "20 labels of train name 1 entities outside the vocabulary (9)",
        "4 entities of the vocabulary have no video of train",
    ]


def test_the_table_has_a_column_a_split_and_no_row_of_nothing():
    rows = split_rows(profile_of(train=FINE, test=replace(FINE, n_frames=7)))
    assert rows[0] == ["", "train", "test"]
    assert ["videos", "1,000", "1,000"] in rows
    assert ["frames", "–", "7"] in rows
    assert ["feature bytes", "4.2 MB", "4.2 MB"] in rows
    assert not any(row[0].startswith("length") for row in rows)


def test_text_tables_line_up():
    assert text_table([["", "ab"], ["long name", "1"], ["x", "10"]]) == (
        "           ab\n---------  --\nlong name   1\nx          10\n"
    )


def test_figures_are_named_by_split_and_finite():
    split = replace(FINE, n_unlabelled=10, flags={"zero_rgb": 2, "zero_audio": 1})
    profile = replace(profile_of(train=split), zipf_slopes={"train": None})
    figures = profile_figures(profile)
    assert figures["n_videos"] == figures["train.n_videos"] == 1000
    assert figures["train.unlabelled_share"] == 10 / 1000
    assert figures["train.n_zero"] == 3
    assert "train.zipf_slope" not in figures
    assert "train.n_frames" not in figures


def test_json_has_everything_and_no_nan():
    profile = replace(profile_of(train=FINE), vocabulary={"train": COMPARISON})
    text = json.dumps(profile_json(profile, {"input": "x"}), allow_nan=False)
    written = json.loads(text)
    assert written["inputs"] == {"input": "x"}
    assert written["splits"]["train"]["labels"]["bins"] == LABELS.bins
    assert written["splits"]["train"]["duplicates"] == {
        "n_ids": 0, "n_extra_videos": 0, "examples": [],
    }  # fmt: skip
    assert written["splits"]["train"]["vocabulary"]["rank_correlation"] == 0.9
