"""An evaluation as pictures: curves, precision against frequency, calibration, frequencies.

Axes: E entities.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from yt8m_spark.calibration_plot import draw_calibration
from yt8m_spark.core.bands import BANDS, EntityFrequencies
from yt8m_spark.frequency_plots import draw_ap_by_frequency, draw_entity_frequency
from yt8m_spark.plot_style import COLOURS, INK, MARKERS, STYLES, plain, ruled, save_png

__all__ = ["draw_pr_curves", "save_plots"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CURVES = 4  # of a band
_FEWEST = 5  # videos of an entity whose curve is shown, where a band has such entities
_LONGEST_NAME = 30


class _Curves(NamedTuple):
    """Entities and their precision-recall curves."""

    entities: Ints  # (E,)
    names: list[str]  # (E,)
    n_positives: Ints  # (E,)
    precision: Floats  # (E,), average precisions
    bands: NDArray[np.str_]  # (E,)
    curves: dict[int, tuple[Floats, Floats]]  # recall and precision, by entity


def save_plots(
    folder: str,
    per_entity: pa.Table,
    curves: pa.Table,
    reliability: pa.Table,
    frequencies: EntityFrequencies,
) -> list[str]:
    """Write pr_curves, ap_by_frequency, calibration and entity_frequency, PNG files, to ``folder``.

    Parameters
    ----------
    folder : str
    per_entity : pyarrow.Table
        With a column ``band``, and names if there are any.
    curves, reliability : pyarrow.Table
        As `yt8m_spark.spark.evaluation.Evaluation` has them.
    frequencies : EntityFrequencies
        What made the bands.

    Returns
    -------
    list of str
        Paths of the files.
    """
    entities, n_positives, precision = (
        per_entity[name].to_numpy() for name in ("entity", "n_positives", "average_precision")
    )
    pictures = {
        "pr_curves": draw_pr_curves(per_entity, curves),
        "ap_by_frequency": draw_ap_by_frequency(frequencies, entities, precision),
        "calibration": draw_calibration(reliability),
        "entity_frequency": draw_entity_frequency(frequencies, n_positives),
    }
    paths = [str(Path(folder) / f"{name}.png") for name in pictures]
    for path, figure in zip(paths, pictures.values(), strict=True):
        save_png(figure, path)
    return paths


def draw_pr_curves(per_entity: pa.Table, curves: pa.Table) -> Figure:
    """Curves of some entities of each band, one of each quarter of it by average precision."""
    shown = _curves_of(per_entity, curves)
    bands = [band for band in BANDS if (shown.bands == band).any()] or list(BANDS[:1])
    figure = Figure(
        figsize=(1.2 + 3.6 * len(bands), 5.2), layout=ConstrainedLayoutEngine(wspace=0.06)
    )
    panels = figure.subplots(1, len(bands), sharey=True, squeeze=False)[0]
    for axes, band in zip(panels, bands, strict=True):
        for i, place in enumerate(_chosen(shown, band)):
            _curve(axes, shown, place, i)
        ruled(axes).set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall")
        axes.set_title(band, loc="left", color=INK, fontsize=10.5)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        if axes.lines:
            axes.legend(
                loc="upper left",
                bbox_to_anchor=(-0.02, -0.15),
                frameon=False,
                fontsize=8,
                handlelength=3.2,
                labelspacing=0.9,
            )
    panels[0].set_ylabel("precision")
    return figure


def _curves_of(table: pa.Table, curves: pa.Table) -> _Curves:
    entities = table["entity"].to_pylist()
    known = table["name"].to_pylist() if "name" in table.column_names else [""] * len(entities)
    names = [name or f"entity {e}" for e, name in zip(entities, known, strict=True)]
    lists = (curves[column].to_pylist() for column in ("recall", "precision"))
    points = {
        entity: (np.array(recall), np.array(precision))
        for entity, recall, precision in zip(curves["entity"].to_pylist(), *lists, strict=True)
    }
    return _Curves(
        np.array(entities, dtype=np.int64),
        names,
        table["n_positives"].to_numpy(),
        table["average_precision"].to_numpy(),
        np.array(table["band"].to_pylist(), dtype=np.str_),
        points,
    )


def _curve(axes: Axes, shown: _Curves, place: int, i: int) -> None:
    recall, precision = shown.curves[int(shown.entities[place])]
    count = int(shown.n_positives[place])
    n_videos = "1 video" if count == 1 else f"{count:,} videos"
    figures = f"AP {100 * shown.precision[place]:.1f}%, {n_videos}"
    label = f"{plain(shown.names[place], _LONGEST_NAME)}\n{figures}"
    # Between two recalls the precision of the second holds: the area below is Eq. 8's sum.
    axes.plot(
        np.append(0.0, recall),
        np.append(precision[:1], precision),
        drawstyle="steps-pre",
        color=COLOURS[i],
        linestyle=STYLES[i],
        marker=MARKERS[i],
        markevery=(1, max(1, len(recall) // 6)),
        markersize=4.5,
        linewidth=1.5,
        label=label,
        clip_on=False,
        zorder=3,
    )


def _chosen(shown: _Curves, band: str) -> list[int]:
    """Places of entities of ``band`` with a curve, spread by average precision, best first."""
    drawable = np.array([len(shown.curves.get(e, ((),))[0]) > 0 for e in shown.entities.tolist()])
    places = np.flatnonzero((shown.bands == band) & drawable)
    enough = places[shown.n_positives[places] >= _FEWEST]
    places = enough if len(enough) >= _CURVES else places
    order = places[np.lexsort((places, -shown.n_positives[places], -shown.precision[places]))]
    # The middle of each of four equal parts: neither the very best nor the hopeless.
    middles = (np.arange(_CURVES) + 0.5) * len(order) / _CURVES
    return list(dict.fromkeys(order[middles.astype(np.int64)].tolist())) if len(order) else []
