"""The text table of metrics. The metrics themselves are tested in tests/core."""

import math

from yt8m_spark.report import TABLE_METRICS, figures_table

LOW = {"map": 0.0, "hit_at_1": 0.125, "hit_at_5": 0.5, "perr": 0.25, "gap_at_20": 0.75}
HIGH = {"map": 1.0, "hit_at_1": 0.25, "hit_at_5": 0.5, "perr": 0.2, "gap_at_20": 0.875}


def test_figures_are_percent_and_the_best_of_each_column_is_starred():
    # 0.125 and 0.875 print as 12.5 and 87.5; both 0.5 are the best.
    assert figures_table({"moe_mean": HIGH, "a": LOW}) == (
        "recipe        mAP    Hit@1    Hit@5     PERR   GAP@20\n"
        "--------  -------  -------  -------  -------  -------\n"
        "moe_mean   100.0*    25.0*    50.0*    20.0     87.5*\n"
        "a            0.0     12.5     50.0*    25.0*    75.0\n"
    )


def test_only_the_columns_asked_for_are_shown():
    assert figures_table({"a": LOW}, heads=["PERR"]) == (
        "recipe     PERR\n"
        "------  -------\n"
        "a         25.0*\n"
    )  # fmt: skip


def test_a_figure_that_could_not_be_taken_is_never_the_best():
    rows = {"a": {"map": math.nan}, "b": {"map": 0.5}, "c": {"map": math.nan}}
    lines = figures_table(rows, heads=["mAP"]).splitlines()[2:]
    assert [line.split() for line in lines] == [["a", "nan"], ["b", "50.0*"], ["c", "nan"]]
    assert "*" not in figures_table({"a": {"map": math.nan}}, heads=["mAP"])


def test_a_table_of_no_rows_has_its_head():
    assert figures_table({}).split("\n")[0].split() == ["recipe", *TABLE_METRICS]


def test_every_line_but_the_cells_stars_is_as_wide_as_the_head():
    lines = figures_table({"moe_mean_std_top5": HIGH, "a": LOW}).splitlines()
    assert {len(line) for line in lines} <= {len(lines[0]), len(lines[0]) - 1}
