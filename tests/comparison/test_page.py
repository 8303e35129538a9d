"""A comparison as text, Markdown, CSV, Parquet and page. How it looks is for people."""

import csv
import io
import re

import pyarrow.parquet as pq
import pytest
from comparison_files import HOSTILE, entities, make_run, normal_replicates

from yt8m_spark.comparison import compare
from yt8m_spark.comparison.metrics import lower_is_better, metric_head, shown, shown_delta
from yt8m_spark.comparison.page import comparison_page
from yt8m_spark.comparison.plots import draw_differences, draw_entities
from yt8m_spark.comparison.report import save_comparison
from yt8m_spark.comparison.runs import entity_columns
from yt8m_spark.comparison.text import comparison_csv, comparison_markdown, comparison_text

BASE = dict.fromkeys(range(12), 0.5)
MINE = {entity: 0.5 + (entity % 3 - 1) / 8 for entity in range(12)}


def make_comparison(name="moe", entity_name="Car"):
    """Three runs: the baseline, one with all there is, one with figures alone."""
    luck = normal_replicates(0.0, 0.05)
    first = make_run("logistic", precisions=BASE, map=0.25, replicates={"map": 0.25 + luck})
    second = make_run(name, precisions=MINE, map=0.3, replicates={"map": 0.3 + luck})
    names = [f"{entity_name} {entity}" for entity in MINE]
    verticals = [["Food & Drink"] if entity % 2 else [] for entity in MINE]
    named = entity_columns(entities(MINE, name=names, verticals=verticals), name)
    third = make_run("bare", map=0.125, perr=0.5)
    first.settings["loss"], second.settings["loss"] = "logistic", name
    object.__setattr__(second, "per_entity", named)
    return compare([first, second, third])


@pytest.mark.parametrize(
    ("metric", "head", "value", "delta"),
    [
        ("map", "mAP", "12.3", "+12.35"),
        ("hit_at_20", "Hit@20", "12.3", "+12.35"),
        ("gap_at_20", "GAP@20", "12.3", "+12.35"),
        ("starter_perr", "starter PERR", "12.3", "+12.35"),
        ("starter_hit_at_1", "starter Hit@1", "12.3", "+12.35"),
        ("loss", "loss", "0.1235", "+0.123"),
        ("seconds", "seconds", "0.1235", "+0.123"),
    ],
)
def test_shares_are_percent_and_other_figures_as_they_are(metric, head, value, delta):
    assert metric_head(metric) == head
    assert shown(metric, 0.12346) == value
    assert shown_delta(metric, 0.12346) == delta
    assert shown(metric, float("nan")) == shown_delta(metric, float("nan")) == "–"
    assert lower_is_better(metric) is (metric == "loss")


def test_the_table_of_a_terminal_by_hand():
    lines = comparison_text(make_comparison()).splitlines()
    assert lines[0].split() == [
        "run", "mAP", "Hit@1", "Hit@5", "PERR", "GAP@20", "wins", "/", "ties", "/", "losses",
    ]  # fmt: skip
    rows = [re.split(r"  +| (?=[+-])", line.strip()) for line in lines[2:5]]
    assert rows[0] == ["logistic", "25.0", "50.0", "75.0", "37.5", "30.0"]
    assert rows[1][:5] == ["moe", "30.0", "+5.00*", "50.0", "+0.00"]
    assert rows[1][-1] == "4 / 4 / 4"
    assert rows[2][:3] == ["bare", "12.5", "-12.50"]
    assert any("'bare' have no interval: 'bare' has no bootstrap" in line for line in lines)


def test_csv_has_all_digits_and_empty_cells_for_what_is_not_known():
    comparison = make_comparison()
    rows = list(csv.DictReader(io.StringIO(comparison_csv(comparison))))
    assert [row["run"] for row in rows] == ["logistic", "moe", "bare"]
    assert [row["is_baseline"] for row in rows] == ["true", "false", "false"]
    difference = comparison.differences["moe"]["map"]
    assert float(rows[1]["map_difference"]) == difference.value
    assert float(rows[1]["map_difference_low"]) == difference.interval.low
    assert (rows[1]["map_low"], rows[1]["map_high"]) == ("0.1", "0.9")
    assert (rows[0]["map_difference"], rows[2]["map_low"], rows[2]["wins"]) == ("", "", "")
    assert [rows[1][key] for key in ("wins", "ties", "losses")] == ["4", "4", "4"]


def test_rows_of_a_markdown_table_have_as_many_cells_as_its_head_whatever_the_names():
    text = comparison_markdown(make_comparison(f"a|b\n{HOSTILE}", HOSTILE))
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 8  # figures, intervals, counts, bands, verticals, gains, losses, settings
    for lines in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert not re.search(r"(?<!\\)<(?!\s)", text), "a tag is just text"
    assert "\x1b" not in text


def test_a_hostile_name_cannot_speak_to_the_terminal():
    text = comparison_text(make_comparison(HOSTILE))
    assert "\x1b" not in text
    assert "\u2028" not in text
    assert len([line for line in text.splitlines() if "script" in line]) == 1


def test_the_page_escapes_names_and_stands_alone():
    page = comparison_page(make_comparison(HOSTILE, HOSTILE))
    assert page.count("<script>") == page.count("</script>") == 1  # ours
    assert "&lt;script&gt;alert" in page
    assert "{{ 7 * 7 }}" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert page.count("data:image/png;base64,iVBOR") == 2


def test_stars_and_intervals_are_explained_where_there_are_any():
    bare, full = compare([make_run("a"), make_run("b")]), make_comparison()
    for show in (comparison_text, comparison_markdown, comparison_page):
        assert "star" in re.sub(r"<style.*?</style>", "", show(full), flags=re.DOTALL)
        assert "star" not in re.sub(r"<style.*?</style>", "", show(bare), flags=re.DOTALL)
    assert "small print" in comparison_page(full)
    assert "small print" not in comparison_page(bare)


def test_a_page_of_figures_alone():
    page = comparison_page(compare([make_run("a"), make_run("b")]))
    assert "<img" not in page
    assert "By entity" not in page


def test_names_of_runs_are_not_drawn(recwarn):
    comparison = make_comparison(HOSTILE)
    for draw in (draw_entities, draw_differences):
        assert draw(comparison.entities, HOSTILE, "logistic").startswith(b"\x89PNG")
    assert not recwarn.list  # no missing glyphs


def test_files_are_written_and_the_entities_can_be_read(tmp_path):
    names = save_comparison(make_comparison(), str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    table = pq.read_table(tmp_path / "out" / "per_entity.parquet")
    assert table.column_names == [
        "entity", "name", "n_positives", "band", "average_precision_logistic",
        "average_precision_moe", "difference_moe",
    ]  # fmt: skip
    assert table["difference_moe"].to_pylist() == [MINE[e] - 0.5 for e in range(12)]
    assert table["name"][3].as_py() == "Car 3"
    assert table["band"].null_count == 0
    bare = save_comparison(compare([make_run("a"), make_run("b")]), str(tmp_path / "bare"))
    assert bare == ["comparison.csv", "comparison.md", "comparison.html"]


@pytest.fixture
def page(browser, tmp_path):
    """The page of a comparison with hostile names, open; what went wrong is in ``page.faults``."""
    save_comparison(make_comparison(HOSTILE, HOSTILE), str(tmp_path))
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.faults = []
    opened.on("console", lambda message: opened.faults.append(message.text))
    opened.on("pageerror", lambda error: opened.faults.append(str(error)))
    opened.on("dialog", lambda dialog: opened.faults.append(dialog.message))
    opened.on("request", lambda request: opened.faults.append(request.url))
    opened.goto((tmp_path / "comparison.html").as_uri())
    opened.faults = [fault for fault in opened.faults if not fault.startswith(("file:", "data:"))]
    yield opened
    opened.close()


def first_column(page):
    return page.locator("#figures tbody th").evaluate_all(
        "cells => cells.map((cell) => cell.textContent.trim()[0])"
    )


def test_columns_sort_by_mouse_and_by_key(page):
    assert first_column(page) == ["l", "<", "b"]
    page.get_by_role("button", name="mAP", exact=True).first.click()
    assert first_column(page) == ["<", "l", "b"]  # best first
    head = page.locator("#figures th", has_text="mAP")
    assert head.get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert first_column(page) == ["b", "l", "<"]
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # PERR
    assert first_column(page)[0] == "b"
    assert head.get_attribute("aria-sort") is None
    gains = page.locator("h3", has_text="gain most").locator("xpath=..")
    gains.get_by_role("button", name="entity").click()
    ids = gains.locator("tbody tr td:nth-child(2)").all_text_contents()
    assert ids == ["11", "8", "5", "2"]  # as numbers, not as text
    assert page.faults == []


def test_a_link_leads_to_the_entities_of_a_run_and_pictures_are_drawn(page):
    page.locator("#figures a").click()
    assert page.url.endswith("#run-1")
    assert page.locator("#run-1").bounding_box()["y"] < 200
    widths = page.locator("img").evaluate_all("images => images.map((i) => i.naturalWidth)")
    assert len(widths) == 2
    assert min(widths) > 500
    assert page.faults == []


def test_a_phone_scrolls_tables_not_the_page(page):
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert all(page.locator("img").evaluate_all("all => all.map((i) => i.alt.length > 20)"))


def test_a_notebook_shows_the_page_in_a_frame(browser):
    opened = browser.new_page()
    opened.set_content(f"<body>{make_comparison(HOSTILE)._repr_html_()}</body>")
    frame = opened.frame_locator("iframe")
    frame.get_by_role("button", name="mAP", exact=True).first.click()
    assert frame.locator("#figures tbody th").first.inner_text().startswith("<script>")
    opened.close()
