"""Average precision of two runs, entity by entity, as a picture.

No text of a user is drawn: a name of a run may hold what matplotlib takes for mathematics.
"""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from yt8m_spark.comparison.entities import Entities
from yt8m_spark.core.bands import BANDS
from yt8m_spark.plot_style import INK, RULE, clean, ruled

__all__ = ["draw_differences", "draw_entities"]

# Told apart by shape and by lightness, so that a print in black and white shows them.
_STYLES = {
    "head": ("s", "#12355b", 6),
    "torso": ("o", "#c8641b", 5),
    "tail": ("+", "#8a929c", 5),
}
_DPI = 130
_WHISKERS = (5, 95)  # percentiles


def draw_entities(entities: Entities, run: str, baseline: str) -> bytes:
    """PNG of ``run`` against ``baseline``: a point an entity that both have."""
    base, figure, bands = _both(entities, run, baseline)
    picture = Figure(figsize=(5.2, 4.9), layout="constrained")
    _points(picture.subplots(), base, figure, bands)
    return _png(picture)


def draw_differences(entities: Entities, run: str, baseline: str) -> bytes:
    """PNG of the differences of ``run`` to ``baseline``: a box a band, and one for all."""
    base, figure, bands = _both(entities, run, baseline)
    picture = Figure(figsize=(5.2, 4.9), layout="constrained")
    _boxes(picture.subplots(), figure - base, bands)
    return _png(picture)


def _both(
    entities: Entities, run: str, baseline: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.str_]]:
    """Figures of the baseline and of the run, in percent, and bands where both have a figure."""
    base, figure = entities.figures[baseline], entities.figures[run]
    both = np.isfinite(base) & np.isfinite(figure)
    return 100 * base[both], 100 * figure[both], np.array(entities.bands)[both]


def _png(picture: Figure) -> bytes:
    file = io.BytesIO()
    picture.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()


def _points(
    axes: Axes, base: NDArray[np.float64], figure: NDArray[np.float64], bands: NDArray[np.str_]
) -> None:
    """Above the line the run is better. The frequent entities are drawn last, on top."""
    axes.plot([0, 100], [0, 100], color=INK, linewidth=0.9, zorder=1)
    for order, band in enumerate(reversed(BANDS)):
        marker, colour, size = _STYLES[band]
        of_band = bands == band
        axes.plot(
            base[of_band],
            figure[of_band],
            marker,
            markersize=size,
            color=colour,
            # An edge keeps points apart that lie on each other; a cross is edge alone.
            markeredgecolor=colour if marker == "+" else "white",
            markeredgewidth=1.0 if marker == "+" else 0.5,
            label=f"{band} ({of_band.sum():,})",
            zorder=2 + order,
        )
    axes.set(xlim=(-2, 102), ylim=(-2, 102), aspect="equal")
    axes.set(xlabel="AP in the baseline, %", ylabel="AP in this run, %")
    axes.set_title("above the line this run is better", loc="left", color=INK, fontsize=8.5)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="lower right", framealpha=0.9, fontsize=8.5)
    ruled(axes)


def _boxes(axes: Axes, differences: NDArray[np.float64], bands: NDArray[np.str_]) -> None:
    """Boxes: median and quartiles; a diamond for the mean."""
    groups = {band: differences[bands == band] for band in BANDS} | {"all": differences}
    drawn = {name: values for name, values in groups.items() if len(values)}
    axes.axhline(0, color=INK, linewidth=0.9)
    axes.set(ylabel="AP in this run less that in the baseline, points")
    if not drawn:
        axes.set_title("no entity is in both", loc="left", color=INK, fontsize=8.5)
        clean(axes)
        return
    axes.boxplot(
        list(drawn.values()),
        tick_labels=[f"{name}\n({len(values):,})" for name, values in drawn.items()],
        whis=_WHISKERS,
        widths=0.5,
        showfliers=False,
        showmeans=True,
        patch_artist=True,
        boxprops={"facecolor": "#e8edf3", "edgecolor": INK},
        medianprops={"color": INK, "linewidth": 2},
        meanprops={"marker": "D", "markerfacecolor": "white", "markeredgecolor": INK},
        whiskerprops={"color": INK},
        capprops={"color": INK},
    )
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    clean(axes)
