"""How much of the variance the leading components hold, as a picture (paper §3.3, §4.2.2)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from yt8m_spark.core.eigenpairs import components_that_explain
from yt8m_spark.plot_style import INK, save_png

__all__ = ["EXPLAINED_VARIANCE", "SHARES", "draw_explained_variance"]

EXPLAINED_VARIANCE = "explained_variance.png"  # its name in the folder of a whitening
SHARES = (0.9, 0.95, 0.99)  # marked where the known components reach them

_LINE, _KEPT = "#2166ac", "#b2182b"
_LEFT = 0.9  # where a logarithmic axis begins, beside 1 component
_A_DECADE = 10  # fewer components would have one tick of a logarithmic axis
_FEW = 30  # of fewer components each is a point


def draw_explained_variance(
    spectrum: NDArray[np.float64], total: float, n_kept: int, path: str
) -> None:
    """Draw the cumulative share of the variance against the number of components, as PNG.

    Parameters
    ----------
    spectrum : (C,) float64
        Variances that are known, descending.
    total : float
        Variance of all features; above 0.
    n_kept : int
        Components that are kept, 1 to C.
    path : str
    """
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    shares = np.cumsum(spectrum) / total
    marker = "o" if len(spectrum) < _FEW else None
    axes.plot(np.arange(1, len(spectrum) + 1), shares, color=_LINE, lw=1.8, marker=marker, ms=4)
    for share, count in _reached(spectrum, total).items():
        _mark(axes, count, share, INK)
    kept = float(shares[n_kept - 1])
    _mark(axes, n_kept, kept, _KEPT)
    axes.plot([n_kept], [kept], "o", color=_KEPT, ms=7, zorder=4)
    _write_counts(axes, spectrum, total, n_kept)
    _dress(axes, len(spectrum))
    save_png(figure, path)


def _reached(spectrum: NDArray[np.float64], total: float) -> dict[float, int]:
    """Components that hold each of `SHARES`, of those shares that the known ones reach."""
    counts = {share: components_that_explain(spectrum, total, share) for share in SHARES}
    return {share: count for share, count in counts.items() if count is not None}


def _mark(axes: Axes, count: int, share: float, colour: str) -> None:
    """Lines from a point of the curve to both axes."""
    axes.plot([_LEFT, count, count], [share, share, 0], color=colour, lw=0.8, ls=(0, (4, 3)))


def _write_counts(axes: Axes, spectrum: NDArray[np.float64], total: float, n_kept: int) -> None:
    """Counts as a line of text between title and curve."""
    reached = _reached(spectrum, total).items()
    text = "    ".join(f"{share:.0%}: {count:,}" for share, count in reached)
    kept = float(spectrum[:n_kept].sum() / total)
    for x, align, words, colour in (
        (0, "left", text, INK),
        (1, "right", f"kept: {n_kept:,} ({kept:.1%})", _KEPT),
    ):
        axes.annotate(
            words,
            (x, 1),
            (0, 6),
            xycoords="axes fraction",
            textcoords="offset points",
            ha=align,
            color=colour,
        )


def _dress(axes: Axes, n_known: int) -> None:
    axes.set_xscale("log")
    axes.set_xlim(_LEFT, max(n_known, 2) * 1.08)
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if n_known < _A_DECADE:
        axes.set_xticks(range(1, n_known + 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("components")
    title = "Share of the variance that the leading components hold"
    axes.set_title(title, loc="left", color=INK, pad=24)
    axes.spines[["top", "right"]].set_visible(False)
