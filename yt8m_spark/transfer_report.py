"""What a transfer shows at its end: the paper's Table 5, as text, CSV, Markdown and a picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from yt8m_spark.artifacts import save_json
from yt8m_spark.comparison import compare
from yt8m_spark.comparison.report import save_comparison
from yt8m_spark.comparison.runs import read_evaluation
from yt8m_spark.events import note
from yt8m_spark.plot_style import COLOURS, INK, MARKERS, RULE, clean, plain, save_png
from yt8m_spark.report import TABLE_METRICS, figures_table
from yt8m_spark.run import Run
from yt8m_spark.transfer_rows import TransferRow

__all__ = ["HEADS", "approaches", "draw_rows", "report_rows", "table_csv", "table_markdown"]

HEADS = ("mAP", "Hit@1", "Hit@5")  # of Table 5

Figures = Mapping[str, float]


def report_rows(run: Run, rows: Sequence[TransferRow], figures: Mapping[str, Figures]) -> None:
    """Print the table of ``rows``, whose metrics are ``figures`` by name; save and log it.

    Also a comparison of the evaluations in ``<folder of the run>/evaluation``, the first row as the
    baseline.
    """
    root = Path(run.folder)
    by_name = {row.name: figures[row.name] for row in rows}
    text = figures_table(by_name, HEADS, name="approach", labels=approaches(rows))
    texts = {
        "table.txt": text,
        "table.csv": table_csv(rows, figures),
        "table.md": table_markdown(rows, figures),
    }
    for name, content in texts.items():
        (root / name).write_text(content)
        run.tracked.log_text(content, name)
    save_json(root / "table.json", by_name)
    draw_rows(rows, figures, str(root / "table.png"))
    run.tracked.log_file(str(root / "table.png"))
    if len(rows) > 1:
        names = [row.name for row in rows]
        evaluated = [read_evaluation(root / "evaluation" / n, n, f"evaluation/{n}") for n in names]
        save_comparison(compare(evaluated, baseline=names[0]), str(root / "comparison"))
        run.tracked.log_contents(str(root / "comparison"), "comparison")
    run.log_metrics({f"{r.name}.{key}": v for r in rows for key, v in figures[r.name].items()})
    note(f"\n{text}")


def approaches(rows: Sequence[TransferRow]) -> list[str]:
    """First column of the table: what a row takes over stands below the row that does without.

    ``Mixture of experts [mean]``, below it ``  + transferred PCA``.
    """
    labels, above = [], ""
    for row in rows:
        if row.gain and row.plain == above:
            labels.append(f"  + {row.gain}")
        else:
            labels.append(f"{row.plain}, {row.gain}" if row.gain else row.plain)
        above = row.plain
    return labels


def table_csv(rows: Sequence[TransferRow], figures: Mapping[str, Figures]) -> str:
    """One line a row: name, approach, what is taken over, and figures as fractions."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["row", "approach", "transferred", *(TABLE_METRICS[head] for head in HEADS)])
    for row in rows:
        values = [figures[row.name][TABLE_METRICS[head]] for head in HEADS]
        writer.writerow([row.name, row.plain, row.gain, *values])
    return out.getvalue()


def table_markdown(rows: Sequence[TransferRow], figures: Mapping[str, Figures]) -> str:
    """The table in percent, the best of each column in bold."""
    best = {
        head: max((v for v in _column(rows, figures, head) if not math.isnan(v)), default=math.nan)
        for head in HEADS
    }
    lines = [f"| approach | {' | '.join(HEADS)} |", "|---" * (1 + len(HEADS)) + "|"]
    for row, label in zip(rows, approaches(rows), strict=True):
        values = {head: figures[row.name][TABLE_METRICS[head]] for head in HEADS}
        cells = [
            f"**{100 * v:.1f}**" if v == best[h] else f"{100 * v:.1f}" for h, v in values.items()
        ]
        indented = label.replace("  + ", "&nbsp;&nbsp;+ ", 1)
        lines.append(f"| {indented} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw_rows(rows: Sequence[TransferRow], figures: Mapping[str, Figures], path: str) -> None:
    """Draw the figures of each row, from the top, in percent: filled where the source helps."""
    figure = Figure(figsize=(7.2, 1.3 + 0.32 * len(rows)), layout="constrained")
    axes = clean(figure.subplots())
    places = range(len(rows), 0, -1)
    for colour, marker, head in zip(COLOURS, MARKERS, HEADS, strict=False):
        for place, row in zip(places, rows, strict=True):
            value = 100 * figures[row.name][TABLE_METRICS[head]]
            face = colour if row.needs_source else "white"
            label = head if row.needs_source or place == len(rows) else None
            axes.plot(value, place, marker, color=colour, markerfacecolor=face, label=label)
    axes.hlines(list(places), *axes.get_xlim(), color=RULE, linewidth=0.6, zorder=0)
    labels = [plain(label.replace("  + ", "+ "), 60) for label in approaches(rows)]
    axes.set_yticks(list(places), labels)
    axes.set_ylim(0.4, len(rows) + 0.6)
    axes.set_xlabel("percent; filled: with what was learned on the source", fontsize=8.5)
    handles, names = axes.get_legend_handles_labels()
    first = dict(zip(reversed(names), reversed(handles), strict=True))
    axes.legend(
        [first[head] for head in HEADS if head in first],
        [head for head in HEADS if head in first],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=len(HEADS),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
    )
    save_png(figure, path)


def _column(rows: Sequence[TransferRow], figures: Mapping[str, Figures], head: str) -> list[float]:
    return [figures[row.name][TABLE_METRICS[head]] for row in rows]
