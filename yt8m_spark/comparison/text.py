"""A comparison as text for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from yt8m_spark.comparison.metrics import metric_head, shown
from yt8m_spark.comparison.tables import (
    Table,
    count_table,
    delta_cell,
    interval_table,
    legend,
    run_tables,
    setting_table,
    wins_and_losses_text,
)
from yt8m_spark.markdown import escaped, markdown_table, plain

if TYPE_CHECKING:
    from yt8m_spark.comparison import Comparison

__all__ = ["comparison_csv", "comparison_markdown", "comparison_text"]

_PARTS = ("", "_low", "_high", "_difference", "_difference_low", "_difference_high")
_COUNTS = ("wins", "ties", "losses", "sign_test_p_value")


def comparison_text(comparison: Comparison) -> str:
    """Table for a terminal: a run a row, figures with differences, wins and losses."""
    heads = ["run", *map(metric_head, comparison.metrics)]
    rows = [[*heads, "wins / ties / losses"] if comparison.by_entity else heads]
    for run in comparison.runs:
        rows.append([plain(run.name)])
        for metric in comparison.metrics:
            delta = delta_cell(comparison, run.name, metric)
            # The place of the star is kept, so that differences stand below each other.
            padded = f"{delta:>8}" if delta.endswith("*") else f"{delta:>7} "
            rows[-1].append(f"{shown(metric, run.figure(metric))} {padded}")
        if run.name in comparison.by_entity:
            rows[-1].append(wins_and_losses_text(comparison.by_entity[run.name].counts))
    lines = _aligned(rows)
    lines += ["", f"Compared with {plain(comparison.baseline)}. {legend(comparison)}"]
    lines += [plain(line) for line in (*comparison.warnings, *comparison.notes)]
    return "\n".join(lines) + "\n"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns as wide as their widest cell; names to the left, figures to the right."""
    n_columns = len(rows[0])
    full = [[*row, *[""] * (n_columns - len(row))] for row in rows]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    full.insert(1, ["-" * width for width in widths])
    return [
        "  ".join(
            [f"{row[0]:<{widths[0]}}"]
            + [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in full
    ]


def comparison_markdown(comparison: Comparison) -> str:
    """All tables of the comparison; what stands in names is escaped."""
    parts = ["# Comparison of runs", *(f"**{escaped(line)}**" for line in comparison.warnings)]
    parts += [markdown_table(_figure_rows(comparison), 1), escaped(legend(comparison))]
    parts += map(escaped, comparison.notes)
    parts += _section(interval_table(comparison), "##")
    parts += _section(count_table(comparison), "##")
    for name in comparison.by_entity:
        parts.append(f"## {escaped(name)} beside {escaped(comparison.baseline)}")
        for table in run_tables(comparison, name):
            parts += _section(table, "###")
    parts += _section(setting_table(comparison), "##")
    return "\n\n".join(parts) + "\n"


def _figure_rows(comparison: Comparison) -> list[list[str]]:
    """The main table; the best of each column in bold."""
    rows = [["run", *(escaped(metric_head(metric)) for metric in comparison.metrics)]]
    for run in comparison.runs:
        is_baseline = run.name == comparison.baseline
        rows.append([escaped(run.name) + " (baseline)" * is_baseline])
        for metric in comparison.metrics:
            value = shown(metric, run.figure(metric))
            bold = f"**{value}**" if comparison.is_best(run.name, metric) else value
            delta = delta_cell(comparison, run.name, metric)
            rows[-1].append(f"{bold} ({escaped(delta)})" if delta else bold)
    return rows


def _section(table: Table, heading: str) -> list[str]:
    """A table below its title; nothing if it has no rows."""
    if len(table.rows) < 2:
        return []
    rows = [[escaped(cell) for cell in row] for row in table.rows]
    parts = [f"{heading} {escaped(table.title)}", escaped(table.note)]
    return [*filter(None, parts), markdown_table(rows, table.n_texts)]


def comparison_csv(comparison: Comparison) -> str:
    """A row a run, all digits: shares in [0, 1], empty where not known.

    Columns ``run, source, is_baseline``; for each metric ``<metric>, <metric>_low, <metric>_high,
    <metric>_difference, <metric>_difference_low, <metric>_difference_high``; ``wins, ties, losses,
    sign_test_p_value``.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heads = [f"{metric}{part}" for metric in comparison.metrics for part in _PARTS]
    writer.writerow(["run", "source", "is_baseline", *heads, *_COUNTS])
    for run in comparison.runs:
        is_baseline = str(run.name == comparison.baseline).lower()
        numbers = [n for m in comparison.metrics for n in _numbers(comparison, run.name, m)]
        found = comparison.by_entity.get(run.name)
        counts = found.counts if found else [None] * len(_COUNTS)
        writer.writerow([run.name, run.source, is_baseline, *numbers, *counts])
    return file.getvalue()


def _numbers(comparison: Comparison, name: str, metric: str) -> list[float | None]:
    """Figure with its interval, difference with its interval, as in `_PARTS`."""
    run = next(run for run in comparison.runs if run.name == name)
    values = [run.figure(metric), *(run.interval(metric) or (None, None))]
    if name == comparison.baseline:
        return [*values, None, None, None]
    difference = comparison.differences[name][metric]
    values += [difference.value, *(difference.interval or (None, None))]
    return [None if value is None or math.isnan(value) else value for value in values]
