"""Cells and rules of a table. Tables of a comparison: tests/comparison/test_page.py."""

from yt8m_spark.markdown import escaped, markdown_table


def test_a_name_is_shown_as_it_stands_on_one_line():
    assert escaped("a|b\n<i>&*") == "a\\|b \\<i\\>\\&\\*"
    assert escaped("\x1b[2J") == " \\[2J"


def test_texts_stand_to_the_left_and_figures_to_the_right():
    rows = [["name", "why", "n"], ["x", "y", "1"]]
    lines = markdown_table(rows, n_texts=2).splitlines()
    assert lines == ["| name | why | n |", "| :-- | :-- | --: |", "| x | y | 1 |"]
