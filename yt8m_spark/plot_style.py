"""How pictures look: readable in black and white, and by colour-blind eyes."""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yt8m_spark.artifacts import staged_file

__all__ = [
    "COLOURS",
    "INK",
    "MARKERS",
    "MUTED",
    "RULE",
    "STYLES",
    "clean",
    "plain",
    "ruled",
    "save_png",
]

# Told apart by most eyes. Where two lines share a picture a style or a marker differs too.
COLOURS = ("#12355b", "#c8641b", "#1b7837", "#762a83")
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")
INK, MUTED, RULE = "#2b2f36", "#8a929c", "#d8dce2"
_DPI = 150


def clean(axes: Axes) -> Axes:
    """``axes`` without a box, the grid below the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.tick_params(colors=INK, labelsize=8.5)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.set_axisbelow(True)
    return axes


def ruled(axes: Axes) -> Axes:
    """``axes`` without a box, with a light grid."""
    clean(axes).grid(color=RULE, linewidth=0.6)
    return axes


def plain(text: str, longest: int) -> str:
    """``text`` that matplotlib draws as it stands, not as mathematics, cut to ``longest``."""
    one_line = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    short = one_line if len(one_line) <= longest else one_line[: longest - 1].rstrip() + "…"
    # A legend leaves out what begins with an underscore.
    return (" " if short.startswith("_") else "") + short.replace("$", r"\$")


def save_png(figure: Figure, path: str) -> None:
    """Write ``figure`` to ``path``, whole or not at all."""
    with staged_file(Path(path)) as temporary, warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(temporary, format="png", dpi=_DPI)
