"""A comparison as one HTML page with its pictures in it, to be sent around or opened in MLflow."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from yt8m_spark.comparison.entities import Entities
from yt8m_spark.comparison.metrics import lower_is_better, metric_head, shown
from yt8m_spark.comparison.plots import draw_differences, draw_entities
from yt8m_spark.comparison.tables import (
    Table,
    count_table,
    delta_cell,
    legend,
    run_tables,
    setting_table,
    shown_interval,
    shown_p_value,
)
from yt8m_spark.pages import page_template

if TYPE_CHECKING:
    from yt8m_spark.comparison import Comparison

__all__ = ["comparison_page"]


class Cell(NamedTuple):
    """A figure of the main table."""

    value: float | str  # to sort by; empty where not known
    text: str
    interval: str
    delta: str
    delta_interval: str
    is_best: bool


class Row(NamedTuple):
    """A run of the main table."""

    name: str
    source: str
    is_baseline: bool
    anchor: str  # of its section; empty if it has none
    cells: list[Cell]


class Section(NamedTuple):
    """A run beside the baseline, by entity."""

    anchor: str
    name: str
    summary: str
    points: str  # PNG in base64
    boxes: str  # PNG in base64
    tables: list[Table]


def comparison_page(comparison: Comparison) -> str:
    """HTML of ``comparison``; it needs no other file and no network."""
    anchors = {name: f"run-{i}" for i, name in enumerate(comparison.by_entity, start=1)}
    return page_template("comparison.html").render(
        baseline=comparison.baseline,
        heads=[(metric_head(m), m, lower_is_better(m)) for m in comparison.metrics],
        rows=_rows(comparison, anchors),
        legend=legend(comparison),
        has_intervals=any(run.bootstrap for run in comparison.runs),
        warnings=comparison.warnings,
        notes=comparison.notes,
        counts=count_table(comparison),
        sections=_sections(comparison, anchors),
        settings=setting_table(comparison),
    )


def _rows(comparison: Comparison, anchors: dict[str, str]) -> list[Row]:
    rows = []
    for run in comparison.runs:
        source = "" if run.source == run.name else run.source
        cells = [_cell(comparison, run.name, metric) for metric in comparison.metrics]
        is_baseline = run.name == comparison.baseline
        rows.append(Row(run.name, source, is_baseline, anchors.get(run.name, ""), cells))
    return rows


def _cell(comparison: Comparison, name: str, metric: str) -> Cell:
    run = next(run for run in comparison.runs if run.name == name)
    difference = comparison.differences.get(name, {}).get(metric)
    return Cell(
        run.metrics.get(metric, ""),
        shown(metric, run.figure(metric)),
        shown_interval(metric, run.interval(metric)),
        delta_cell(comparison, name, metric),
        shown_interval(metric, difference.interval, signed=True) if difference else "",
        comparison.is_best(name, metric),
    )


def _sections(comparison: Comparison, anchors: dict[str, str]) -> list[Section]:
    if comparison.entities is None:
        return []
    return [_section(comparison, comparison.entities, *item) for item in anchors.items()]


def _section(comparison: Comparison, entities: Entities, name: str, anchor: str) -> Section:
    counts = comparison.by_entity[name].counts
    return Section(
        anchor,
        name,
        f"Better on {counts.wins:,} entities, equal on {counts.ties:,}, worse on "
        f"{counts.losses:,}; sign test: p {_equals(shown_p_value(counts.p_value))}.",
        _base64(draw_entities(entities, name, comparison.baseline)),
        _base64(draw_differences(entities, name, comparison.baseline)),
        [table for table in run_tables(comparison, name) if len(table.rows) > 1],
    )


def _base64(picture: bytes) -> str:
    return base64.b64encode(picture).decode("ascii")


def _equals(value: str) -> str:
    return value if value.startswith("<") else f"= {value}"
