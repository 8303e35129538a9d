"""Entities by how frequent they are, as pictures (paper Fig. 5).

Axes: E entities.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from yt8m_spark.core.bands import BANDS, EntityFrequencies
from yt8m_spark.plot_style import COLOURS, INK, MUTED, STYLES, ruled

__all__ = ["draw_ap_by_frequency", "draw_entity_frequency"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST_BINS = 12  # of frequencies, over which medians are taken
_A_DECADE = 10  # of fewer ranks one would have a tick


def draw_ap_by_frequency(
    frequencies: EntityFrequencies, entities: Ints, average_precision: Floats
) -> Figure:
    """A point an entity; the median and the middle half of entities of like frequency over them."""
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = ruled(figure.subplots())
    places = frequencies.places(entities)
    known = frequencies.counts[places] > 0
    counts, precision = frequencies.counts[places][known], average_precision[known]
    axes.plot(counts, precision, "o", color=MUTED, ms=2.6, mew=0, alpha=0.45, label="entity")
    if len(counts):
        centres, quartiles = _by_frequency(counts, precision)
        low, middle, high = quartiles
        axes.errorbar(
            centres,
            middle,
            yerr=[middle - low, high - middle],
            color=COLOURS[0],
            marker="s",
            ms=5.5,
            lw=1.6,
            elinewidth=1.1,
            capsize=3,
            label="median and quartiles of like frequency",
            zorder=4,
        )
        # In this order: of one frequency the limits so far are equal, which logarithms refuse.
        axes.set_xlim(counts.min() / 1.3, counts.max() * 1.3)
        axes.set_xscale("log")
        bands = frequencies.bands[places][known]
        of_bands = {name: counts[bands == i] for i, name in enumerate(BANDS)}
        _mark_bands(axes, {b: (int(c.min()), int(c.max())) for b, c in of_bands.items() if len(c)})
    axes.set(ylim=(-0.02, 1.02), ylabel="average precision", xlabel=frequencies.source)
    axes.xaxis.set_major_formatter(_THOUSANDS)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    figure.legend(loc="outside lower right", ncols=2, frameon=False, fontsize=8.5)
    return figure


def _by_frequency(counts: Ints, precision: Floats) -> tuple[Floats, Floats]:
    """Geometric mean of the frequencies of each bin, and the quartiles (3, bins) of precisions."""
    # Bins of equal width on the axis; the last edge is moved up, to hold the most frequent.
    top = float(counts.max()) * (1 + 1e-9)
    edges = np.geomspace(counts.min(), max(top, counts.min() * 1.01), _MOST_BINS + 1)
    bins = np.searchsorted(edges, counts, side="right") - 1
    filled = np.unique(bins)
    centres = np.array([np.exp(np.log(counts[bins == b]).mean()) for b in filled])
    quartiles = np.array([np.percentile(precision[bins == b], (25, 50, 75)) for b in filled]).T
    return centres, quartiles


def draw_entity_frequency(frequencies: EntityFrequencies, n_positives: Ints) -> Figure:
    """Videos of each entity over its rank, both logarithmic, as the paper's Fig. 5."""
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = ruled(figure.subplots())
    lines = {"evaluated videos": n_positives}
    if frequencies.source not in lines:
        lines = {frequencies.source: frequencies.counts, **lines}
    for i, (label, counts) in enumerate(lines.items()):
        found = np.sort(counts[counts > 0])[::-1]
        ranks = np.arange(1, len(found) + 1)
        axes.plot(ranks, found, color=COLOURS[i], ls=STYLES[i], lw=1.8, label=label)
    axes.set(xscale="log", yscale="log", xlabel="rank of the entity", ylabel="videos")
    axes.set_xlim(0.9, max(2, len(frequencies.entities)) * 1.1)
    sizes = np.bincount(frequencies.bands, minlength=len(BANDS)).tolist()
    ends = np.cumsum(sizes).tolist()
    spans = {
        f"{band}: {size:,}": (end - size + 1, end)
        for band, size, end in zip(BANDS, sizes, ends, strict=True)
        if size
    }
    _mark_bands(axes, spans)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_THOUSANDS)
        axis.set_minor_formatter(NullFormatter())
    if len(frequencies.entities) < _A_DECADE:
        axes.set_xticks(range(1, len(frequencies.entities) + 1))
    axes.legend(frameon=False, loc="lower left", fontsize=8.5)
    return figure


def _mark_bands(axes: Axes, spans: Mapping[str, tuple[int, int]]) -> None:
    """Names of bands above their lowest to highest values, and borders between them."""
    for label, (low, high) in spans.items():
        axes.annotate(
            label,
            (float(np.sqrt(low * high)), 1),
            (0, 4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            color=INK,
            fontsize=8.5,
        )
    # Between neighbours, in the middle on a logarithmic axis.
    for (_, end), (start, _) in pairwise(sorted(spans.values())):
        axes.axvline(float(np.sqrt(end * start)), color=INK, lw=0.9, ls=(0, (1, 2)), zorder=1)


_THOUSANDS = FuncFormatter(lambda value, _: f"{value:,.0f}")
