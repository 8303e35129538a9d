"""How the frames of a sample spread over the centres of codebooks, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from yt8m_spark.plot_style import COLOURS, INK, MUTED, STYLES, plain, ruled, save_png

__all__ = ["SHARES", "draw_shares"]

SHARES = "centres.png"  # its name in the folder of codebooks


def draw_shares(shares: Mapping[str, NDArray[np.float64]], path: str) -> None:
    """Draw the share of the frames that each centre has, the largest first, as PNG.

    Parameters
    ----------
    shares : mapping of str to (K,) float64
        By what the legend calls them; each sums to 1.
    path : str
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = ruled(figure.subplots())
    n_centres = max(map(len, shares.values()))
    axes.axhline(1 / n_centres, color=MUTED, lw=1, ls=(0, (4, 3)))
    axes.annotate(
        f"all alike: 1/{n_centres}",
        (1, 1 / n_centres),
        (-2, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color=MUTED,
        fontsize=8.5,
    )
    looks = zip(cycle(COLOURS), cycle(STYLES), strict=False)
    for (name, found), (colour, style) in zip(shares.items(), looks, strict=False):
        ranks = np.arange(1, len(found) + 1)
        label = plain(name, 40)
        axes.step(ranks, np.sort(found)[::-1], where="mid", color=colour, ls=style, label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.5, n_centres + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("centre, by share")
    axes.set_title("Share of the sampled frames by centre", loc="left", color=INK)
    axes.legend(frameon=False)
    save_png(figure, path)
