"""How the losses of a model's entities fell, pass by pass, as a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from yt8m_spark.plot_style import COLOURS, INK, MARKERS, STYLES, ruled, save_png
from yt8m_spark.scorer import entity_columns

__all__ = ["LOSS_PLOT", "draw_loss_by_pass", "loss_histories"]

LOSS_PLOT = "loss_by_pass.png"  # its name in the folder of a model, or among the artifacts

Floats = NDArray[np.float64]

_FEW = 30  # of fewer passes each is a point


def loss_histories(model: str) -> list[list[float]]:
    """Mean loss of each pass of each trained entity of the model in the folder ``model``."""
    histories = entity_columns(model, ["loss_history"]).column(0).to_pylist()
    return [history for history in histories if history]


def draw_loss_by_pass(histories: list[list[float]], path: str) -> None:
    """Draw the mean, the median and the middle half of ``histories`` at each pass, as PNG.

    An entity that stopped early keeps its last loss; one whose loss is not finite is left out, and
    counted below the picture.

    Raises
    ------
    ValueError
        If no history is of a finite loss.
    """
    finite = [h for h in histories if h and np.isfinite(h).all()]
    if not finite:
        raise ValueError("there are no losses to draw")
    losses = _filled(finite)
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = ruled(figure.subplots())
    passes = np.arange(1, losses.shape[1] + 1)
    low, middle, high = np.percentile(losses, (25, 50, 75), axis=0)
    axes.fill_between(passes, low, high, color=COLOURS[0], alpha=0.16, lw=0)
    lines = {"mean": losses.mean(axis=0), "median": middle}
    for i, (label, values) in enumerate(lines.items()):
        axes.plot(
            passes,
            values,
            color=COLOURS[i],
            ls=STYLES[i],
            marker=MARKERS[i] if len(passes) < _FEW else "",
            ms=5,
            lw=1.8,
            label=label,
        )
    for label, values in (("middle half of entities", low), ("_", high)):  # "_": not listed
        axes.plot(passes, values, color=COLOURS[0], lw=0.8, ls=STYLES[3], label=label)
    if low.min() > 0:
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left_out = len(histories) - len(finite)
    told = f", {left_out:,} that diverged left out" if left_out else ""
    axes.set(xlabel="pass over the videos", ylabel="mean loss of an entity over its videos")
    axes.set_title(f"{len(finite):,} entities{told}", loc="left", color=INK, fontsize=9.5)
    axes.legend(frameon=False, fontsize=8.5)
    save_png(figure, path)


def _filled(histories: list[list[float]]) -> Floats:
    """Losses (E, passes), the last one repeated to the longest history."""
    longest = max(map(len, histories))
    return np.array([[*h, *[h[-1]] * (longest - len(h))] for h in histories], dtype=np.float64)
