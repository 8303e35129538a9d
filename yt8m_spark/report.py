"""The figures of an evaluation as people read them: a table like the paper's Table 3."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["TABLE_METRICS", "figures_table"]

# Column heads and metrics; the first four are Table 3's, with GAP@20 for the starter code's users.
TABLE_METRICS = {
    "mAP": "map",
    "Hit@1": "hit_at_1",
    "Hit@5": "hit_at_5",
    "PERR": "perr",
    "GAP@20": "gap_at_20",
}


def figures_table(
    rows: Mapping[str, Mapping[str, float]],
    heads: Sequence[str] = tuple(TABLE_METRICS),
    *,
    name: str = "recipe",
    labels: Sequence[str] | None = None,
) -> str:
    """Text table of ``rows``, metrics by name, in percent; the best of each column is starred.

    ``name`` is the head of the first column, which has ``labels`` in place of the rows' names.
    """
    labels = list(rows) if labels is None else labels
    width = max(map(len, (name, *labels)))
    best = {h: _best([row[TABLE_METRICS[h]] for row in rows.values()]) for h in heads}
    lines = ["  ".join([f"{name:<{width}}", *(f"{h:>7}" for h in heads)])]
    lines.append("  ".join(["-" * width, *("-" * 7 for _ in heads)]))
    for label, row in zip(labels, rows.values(), strict=True):
        cells = [_cell(row[TABLE_METRICS[h]], best[h]) for h in heads]
        lines.append("  ".join([f"{label:<{width}}", *cells]).rstrip())
    return "\n".join(lines) + "\n"


def _best(figures: Sequence[float]) -> float:
    """Highest of ``figures`` that could be taken; the others are NaN."""
    return max((f for f in figures if not math.isnan(f)), default=math.nan)


def _cell(value: float, best: float) -> str:
    return f"{100 * value:6.1f}{'*' if value == best else ' '}"
