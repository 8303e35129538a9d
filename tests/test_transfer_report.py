"""Tables and the picture of a transfer, of figures as they come. Evaluations: tests/jobs."""

import csv

import pytest

from yt8m_spark.report import figures_table
from yt8m_spark.transfer_report import HEADS, approaches, draw_rows, table_csv, table_markdown
from yt8m_spark.transfer_rows import parse_row

NAMES = ("own_moe_mean", "transferred_moe_mean", "lstm_scratch", "lstm_frozen", "lstm_finetuned")
ROWS = [parse_row(name) for name in NAMES]
FIGURES = {
    name: {"map": (10 + n) / 100, "hit_at_1": (30 - n) / 100, "hit_at_5": 0.5}
    for n, name in enumerate(NAMES)
}


def test_what_is_taken_over_stands_below_the_row_that_does_without():
    assert approaches(ROWS) == [
        "Mixture of experts [mean]",
        "  + transferred PCA",
        "LSTM",
        "  + frozen features, fully connected layer",
        "  + fine-tuned",
    ]


def test_a_row_without_the_plain_one_above_says_what_it_is():
    assert approaches([ROWS[1], ROWS[4]]) == [
        "Mixture of experts [mean], transferred PCA",
        "LSTM, fine-tuned",
    ]


def test_the_text_has_the_approaches_and_a_star_at_the_best():
    text = figures_table(FIGURES, HEADS, name="approach", labels=approaches(ROWS))
    lines = text.splitlines()
    assert lines[0].split() == ["approach", "mAP", "Hit@1", "Hit@5"]
    assert lines[3].split() == ["+", "transferred", "PCA", "11.0", "29.0", "50.0*"]


def test_the_best_of_each_column_is_bold_in_percent():
    lines = table_markdown(ROWS, FIGURES).splitlines()
    assert lines[0] == "| approach | mAP | Hit@1 | Hit@5 |"
    assert lines[2] == "| Mixture of experts [mean] | 10.0 | **30.0** | **50.0** |"
    assert lines[-1] == "| &nbsp;&nbsp;+ fine-tuned | **14.0** | 26.0 | **50.0** |"


def test_a_csv_has_the_figures_as_they_are():
    read = list(csv.DictReader(table_csv(ROWS, FIGURES).splitlines()))
    assert [row["row"] for row in read] == list(NAMES)
    assert float(read[1]["map"]) == pytest.approx(0.11)
    assert read[3]["transferred"] == "frozen features, fully connected layer"


def test_the_picture_is_drawn(tmp_path):
    draw_rows(ROWS, FIGURES, str(tmp_path / "table.png"))
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
