"""Whether a score means what it says, as a picture: a reliability diagram."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from yt8m_spark.core.entity_report import N_BINS
from yt8m_spark.plot_style import COLOURS, INK, RULE, ruled

__all__ = ["draw_calibration"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_Z = 1.96  # of intervals at 95 %


def draw_calibration(reliability: pa.Table) -> Figure:
    """Share of true labels against the score, 15 bins, over the number of pairs in each bin."""
    figure = Figure(figsize=(5.6, 6.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    n_pairs, n_hits = (reliability[name].to_numpy() for name in ("n_pairs", "n_hits"))
    filled = n_pairs > 0
    scores = reliability["mean_score"].to_numpy()[filled].astype(np.float64)
    shares, low, high = _shares(n_hits[filled], n_pairs[filled])
    ruled(upper).plot([0, 1], [0, 1], color=INK, lw=1, ls=(0, (5, 3)), label="as the score says")
    upper.errorbar(
        scores,
        shares,
        yerr=[shares - low, high - shares],
        color=COLOURS[0],
        marker="o",
        ms=5,
        lw=1.5,
        elinewidth=1.1,
        capsize=3,
        label="true labels, 95 % interval",
    )
    upper.legend(loc="upper left", frameon=False, fontsize=8.5)
    upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="share of true labels")
    edges = np.arange(N_BINS + 1) / N_BINS
    ruled(lower).stairs(np.maximum(n_pairs, 0.5), edges, fill=True, color=RULE, baseline=0.5)
    lower.stairs(np.maximum(n_pairs, 0.5), edges, color=INK, lw=1, baseline=0.5, label="all")
    lower.stairs(
        np.maximum(n_hits, 0.5),
        edges,
        color=COLOURS[1],
        lw=1.4,
        ls="--",
        baseline=0.5,
        label="true",
    )
    lower.set(yscale="log", ylim=(0.5, None), xlabel="score", ylabel="pairs of video\nand entity")
    lower.legend(loc="upper right", frameon=False, fontsize=8.5, ncols=2)
    for axis in (upper.xaxis, upper.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    return figure


def _shares(hits: Ints, totals: Ints) -> tuple[Floats, Floats, Floats]:
    """Share of ``hits`` with the bounds of Wilson's interval, as if pairs were independent."""
    share = hits / totals
    middle = (hits + _Z**2 / 2) / (totals + _Z**2)
    half = _Z / (totals + _Z**2) * np.sqrt(hits * (1 - share) + _Z**2 / 4)
    return share, np.minimum(middle - half, share), np.maximum(middle + half, share)
