"""A vocabulary as pictures (paper §3.1): entities of each vertical, and how specific they are."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from yt8m_spark.core.visualness import HIGHEST, LOWEST
from yt8m_spark.plot_style import COLOURS, INK, MUTED, clean, plain, save_png
from yt8m_spark.spark.vocabulary_result import SCORE_BINS, VocabularyStatistics

__all__ = ["save_plots"]

_LONGEST = 32  # characters of a vertical's name
_MOST = 40  # verticals drawn


def save_plots(statistics: VocabularyStatistics, folder: str) -> list[str]:
    """Write ``verticals.png`` and, where there are ratings, ``specificity.png``; their paths."""
    figures = {"verticals": draw_verticals(statistics)}
    if statistics.scores:
        figures["specificity"] = draw_specificity(statistics)
    paths = {str(Path(folder) / f"{name}.png"): figure for name, figure in figures.items()}
    for path, figure in paths.items():
        save_png(figure, path)
    return list(paths)


def draw_verticals(statistics: VocabularyStatistics) -> Figure:
    """Entities of each vertical, most on top; an entity counts in each of its verticals."""
    shown = list(statistics.verticals.items())[:_MOST][::-1]  # bars are drawn from below
    figure = Figure(figsize=(7, 1.0 + 0.25 * len(shown)), layout="constrained")
    axes = clean(figure.subplots())
    bars = axes.barh([plain(name, _LONGEST) for name, _ in shown], [n for _, n in shown])
    for bar in bars:
        bar.set_color(COLOURS[0])
    axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8, color=INK)
    axes.set(xlabel="entities of the vocabulary", ylim=(-0.7, len(shown) - 0.3))
    axes.margins(x=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(_THOUSANDS)
    axes.tick_params(axis="y", length=0)
    return figure


def draw_specificity(statistics: VocabularyStatistics) -> Figure:
    """Mean ratings of the entities that were rated, and the kept ones in three ranges (Fig. 4b)."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _scores(clean(left), statistics)
    _ranges(clean(right), statistics)
    for axes in (left, right):
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(_THOUSANDS)
    return figure


def _scores(axes: Axes, statistics: VocabularyStatistics) -> None:
    bounds = statistics.specificity_bounds
    for bin_, n in statistics.scores.items():
        upper = bin_ / SCORE_BINS
        colour = next((COLOURS[i] for i, bound in enumerate(bounds) if upper <= bound), MUTED)
        axes.bar(upper - 0.5 / SCORE_BINS, n, 0.9 / SCORE_BINS, color=colour)
    axes.axvline(bounds[-1], color=INK, lw=0.9, ls=(0, (2, 2)))
    axes.set(xlim=(LOWEST - 2 / SCORE_BINS, HIGHEST + 1 / SCORE_BINS))
    axes.set(xlabel="mean rating of an entity", ylabel="entities that passed the types")
    above = [Patch(color=MUTED, label=f"above {bounds[-1]:g}: excluded")]
    axes.legend(handles=above, frameon=False, fontsize=8.5, loc="upper right")


def _ranges(axes: Axes, statistics: VocabularyStatistics) -> None:
    edges = [LOWEST, *statistics.specificity_bounds]
    names = [f"{'[' if not i else '('}{edges[i]:.3g}, {edges[i + 1]:.3g}]" for i in range(3)]
    total = sum(statistics.specificity) or 1
    bars = axes.bar(names, statistics.specificity, 0.7, color=COLOURS[: len(names)])
    labels = [f"{n:,}\n{100 * n / total:.0f} %" for n in statistics.specificity]
    axes.bar_label(bars, labels, padding=3, fontsize=8.5, color=INK)
    axes.set(xlabel="mean rating", ylabel="entities of the vocabulary")
    axes.margins(y=0.2)


_THOUSANDS = FuncFormatter(lambda value, _: f"{value:,.0f}")
