"""A vocabulary as text, files and pictures. Its figures are tested in tests/spark."""

import csv
import json

import pytest

from yt8m_spark.core.type_tree import build_type_tree
from yt8m_spark.spark.vocabulary_result import TopEntity, VocabularyStatistics
from yt8m_spark.vocabulary_plots import draw_specificity, draw_verticals, save_plots
from yt8m_spark.vocabulary_report import (
    InputCounts,
    list_warnings,
    stage_table,
    table_1,
    vocabulary_figures,
    vocabulary_warnings,
    write_statistics,
)

STATISTICS = VocabularyStatistics(
    excluded={
        "types": {"blacklisted_type": 3, "unknown_type": 1}, "videos": {"too_few_videos": 1000},
    },
    n_entities=6, n_unnamed=1, verticals={"Games": 5, "(Unknown)": 1}, specificity=[3, 2, 1],
    specificity_bounds=[1.5, 2.0, 2.5], scores={10: 2, 14: 1, 15: 1, 16: 2, 25: 1, 26: 7, 50: 1},
    top_entities={
        "Games": [TopEntity("/a", "Chess | <go>\x1b", 9), TopEntity("/b", "", 8)],
        "(Unknown)": [TopEntity("/c", "C", 1)],
    },
)  # fmt: skip
COUNTS = InputCounts(
    n_types=9, n_videos=100, n_videos_without_id=0, n_videos_without_topics=4,
    n_repeated_entities=0, n_ratings=30, n_repeated_ratings=2, n_ratings_unknown=0, n_topics=1200,
    n_topics_unknown=3, topics_unknown=["/x", "/y"],
)  # fmt: skip


def test_every_stage_tells_what_it_leaves():
    lines = [line.split() for line in stage_table(STATISTICS).splitlines()]
    assert lines[2] == ["candidates", "1,010"]
    assert [line[-2:] for line in lines[3:]] == [["-3", "1,007"], ["-1", "1,006"], ["-1,000", "6"]]
    figures = vocabulary_figures(STATISTICS, COUNTS)
    left = [figures[f"n_entities.{stage}"] for stage in ("input", "types", "visualness", "videos")]
    assert left == [1010, 1006, 1006, 6]
    assert figures["n_entities"] == 6
    assert figures["n_verticals"] == 1
    assert [figures[f"n_specificity.{i}"] for i in (1, 2, 3)] == [3, 2, 1]
    assert all(isinstance(value, int) for value in figures.values())


def test_an_entity_without_a_name_is_its_id():
    games = table_1(STATISTICS).splitlines()[-1]
    assert games.split(None, 2) == ["Games", "5", "Chess | <go>, /b"]


def test_only_what_is_odd_is_warned_of():
    assert vocabulary_warnings(STATISTICS, COUNTS) == [
        "2 ratings come again, and count once",
        "4 rows of videos have no topic",
        "3 of 1,200 topics are no entity (/x, /y)",
        "1 entities of the vocabulary have no name",
        "1 entities have no vertical",
    ]
    tree = build_type_tree([("a", "", ""), ("b", "a", ""), ("c", "", "")])
    assert list_warnings(tree, ["a", "b", "c"], ["a"]) == [
        "whitelisted type 'a' is blacklisted too: the blacklist wins",
        "whitelisted type 'b' lies below the blacklisted 'a', which wins",
    ]


def test_files_say_the_same(tmp_path):
    write_statistics(tmp_path, STATISTICS, COUNTS, ["odd"])
    written = json.loads((tmp_path / "statistics.json").read_text())
    assert written["n_candidates"] == 1010
    assert written["excluded"] == STATISTICS.excluded
    assert written["warnings"] == ["odd"]
    assert written["input"]["n_topics_unknown"] == 3
    with (tmp_path / "table1.csv").open(newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [
        ("(Unknown)", "1", "/c", "C", "1"), ("Games", "1", "/a", "Chess | <go>\x1b", "9"),
        ("Games", "2", "/b", "", "8"),
    ]  # fmt: skip
    assert (tmp_path / "table1.md").read_text().splitlines() == [
        "| vertical | 1 | 2 |", "| :-- | :-- | :-- |", "| (Unknown) | C |  |",
        "| Games | Chess \\| \\<go\\> | /b |",
    ]  # fmt: skip


def test_pictures_show_the_counts(tmp_path):
    bars = draw_verticals(STATISTICS).axes[0].patches
    assert sorted(bar.get_width() for bar in bars) == [1, 5]
    scores, ranges = draw_specificity(STATISTICS).axes
    assert [bar.get_height() for bar in ranges.patches] == [3, 2, 1]
    assert sum(bar.get_height() for bar in scores.patches) == sum(STATISTICS.scores.values())
    kept = [bar for bar in scores.patches if bar.get_x() + bar.get_width() < 2.5]
    colours = {bar.get_facecolor() for bar in kept}
    assert len(colours) == 3
    assert not colours & {bar.get_facecolor() for bar in scores.patches if bar not in kept}
    # 1.45 to 1.5 is of the first range: a bound belongs to the range below it.
    at = {round(bar.get_x() + bar.get_width() / 2, 2): bar.get_facecolor() for bar in kept}
    assert at[0.95] == at[1.45] == ranges.patches[0].get_facecolor()
    assert at[1.55] == ranges.patches[1].get_facecolor()
    assert [path.rpartition("/")[2] for path in save_plots(STATISTICS, str(tmp_path))] == [
        "verticals.png", "specificity.png",
    ]  # fmt: skip


@pytest.mark.parametrize("scores", [{}, {30: 2}])
def test_a_vocabulary_that_nobody_rated_has_one_picture(tmp_path, scores):
    bare = STATISTICS.__class__(**{**STATISTICS.__dict__, "scores": scores, "specificity": [0] * 3})
    assert len(save_plots(bare, str(tmp_path))) == (2 if scores else 1)
