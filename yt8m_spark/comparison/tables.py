"""The tables of a comparison, cell by cell, for all that shows them; names as they came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from yt8m_spark.comparison.entities import EntityDifference
from yt8m_spark.comparison.metrics import metric_head, shown, shown_delta
from yt8m_spark.core.paired_comparison import Interval, WinsAndLosses

if TYPE_CHECKING:
    from yt8m_spark.comparison import Comparison

__all__ = [
    "Table",
    "count_table",
    "delta_cell",
    "interval_table",
    "legend",
    "run_tables",
    "setting_table",
    "shown_interval",
    "shown_p_value",
    "wins_and_losses_text",
]

_AP = "map"  # average precisions are shown like their mean


class Table(NamedTuple):
    """A table with a title and a line on what it means."""

    title: str
    note: str
    rows: list[list[str]]  # the first is the head
    n_texts: int = 1  # columns of text, the first ones; others are numbers


def legend(comparison: Comparison) -> str:
    """How to read the figures, and the stars where there can be any."""
    text = "Shares are in percent, differences to the baseline in percentage points."
    differences = [d for of_run in comparison.differences.values() for d in of_run.values()]
    if any(difference.interval is not None for difference in differences):
        text += " A star marks a difference whose paired interval excludes 0."
    return text


def delta_cell(comparison: Comparison, run: str, metric: str) -> str:
    """``+0.31*``: a difference and its star; empty for the baseline."""
    if run == comparison.baseline:
        return ""
    difference = comparison.differences[run][metric]
    return shown_delta(metric, difference.value) + "*" * difference.is_significant


def shown_interval(metric: str, interval: Interval | None, *, signed: bool = False) -> str:
    """``38.1 to 39.8``, or empty."""
    if interval is None:
        return ""
    show = shown_delta if signed else shown
    return f"{show(metric, interval.low)} to {show(metric, interval.high)}"


def shown_p_value(value: float) -> str:
    """A p-value to two digits, not smaller than is worth telling."""
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def wins_and_losses_text(counts: WinsAndLosses) -> str:
    """``1,203 / 12 / 998``."""
    return f"{counts.wins:,} / {counts.ties:,} / {counts.losses:,}"


def interval_table(comparison: Comparison) -> Table:
    """Intervals of the figures and of the differences; no rows if there are none."""
    levels = sorted({100 * run.bootstrap.level for run in comparison.runs if run.bootstrap})
    title = f"Intervals ({', '.join(f'{level:g}' for level in levels)} %)"
    rows = [["run", "", *map(metric_head, comparison.metrics)]]
    for run in comparison.runs:
        own = [shown_interval(m, run.interval(m)) for m in comparison.metrics]
        rows.append([run.name, "figure", *own])
        if run.name != comparison.baseline:
            found = comparison.differences[run.name]
            rows.append(
                [
                    run.name,
                    "difference",
                    *(
                        shown_interval(m, found[m].interval, signed=True)
                        for m in comparison.metrics
                    ),
                ]
            )
    note = (
        "By a bootstrap over videos. The interval of a difference is paired: replicate by "
        "replicate on the same videos, which makes it narrow where the two err on the same ones."
    )
    return Table(title, note, rows[:1] + [row for row in rows[1:] if any(row[2:])], 2)


def count_table(comparison: Comparison) -> Table:
    """Wins and losses of each run, and what the sign test says."""
    rows = [["run", "better", "equal", "worse", "p of the sign test"]]
    for name, found in comparison.by_entity.items():
        counts = found.counts
        numbers = [f"{n:,}" for n in (counts.wins, counts.ties, counts.losses)]
        rows.append([name, *numbers, shown_p_value(counts.p_value)])
    note = (
        f"Entities whose average precision is higher than, equal to and lower than in "
        f"{comparison.baseline}. The test takes entities for independent, which those that go "
        "together are not: its p is on the low side."
    )
    return Table("By entity", note, rows)


def run_tables(comparison: Comparison, run: str) -> Iterator[Table]:
    """What the entities of ``run`` gain and lose, in groups and one by one."""
    found = comparison.by_entity[run]
    for kind, title in (("band", "By frequency"), ("vertical", "By vertical")):
        rows = [[kind, "entities", "baseline mAP", "mAP", "difference", "+ / = / −"]]
        rows += [
            [
                group.name,
                f"{group.n_entities:,}",
                shown(_AP, group.baseline),
                shown(_AP, group.figure),
                shown_delta(_AP, group.figure - group.baseline),
                wins_and_losses_text(group.counts),
            ]
            for group in found.groups
            if group.kind == kind
        ]
        yield Table(title, "", rows)
    yield _named("Entities that gain most", found.gains)
    yield _named("Entities that lose most", found.losses)


def setting_table(comparison: Comparison) -> Table:
    """Settings that are not the same in all runs."""
    names = [run.name for run in comparison.runs]
    rows = [["setting", *names]]
    for setting, values in comparison.settings.items():
        rows.append([setting, *(values.get(name, "–") for name in names)])
    return Table("Settings that differ", "", rows, 1 + len(names))


def _named(title: str, entities: Sequence[EntityDifference]) -> Table:
    rows = [["name", "entity", "videos", "baseline AP", "AP", "difference"]]
    for one in entities:
        figures = [shown(_AP, one.baseline), shown(_AP, one.figure)]
        difference = shown_delta(_AP, one.difference)
        name = one.name or f"entity {one.entity}"
        rows.append([name, str(one.entity), f"{one.n_positives:,}", *figures, difference])
    return Table(title, "", rows)
