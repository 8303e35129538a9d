"""Draw docs/data_flow.svg, the picture of the README: `.venv/bin/python docs/draw_data_flow.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

INK, PALE, LINE = "#1f2937", "#eef2f7", "#64748b"
# (x, y, what it is, what it holds); x and y in boxes.
TABLES = {
    "shards": (0, 1, "TFRecords", "frames 1/s, 8 bit\nor video means"),
    "videos": (1, 1, "videos", "mean, std, top 5\n(Eq. 2)"),
    "features": (2, 1, "features", "whitened,\nlength 1 (§4.2.2)"),
    "model": (3, 1, "model", "a row an entity,\na task a block (§4.3)"),
    "predictions": (4, 1, "predictions", "best entities\nof each video"),
    "whitening": (1.5, 0, "whitening", "mean, PCA, ridge"),
    "metrics": (4, 0, "metrics", "mAP, Hit@k, PERR,\nGAP@20, in MLflow"),
}
ARROWS = [
    ("shards", "videos", "aggregate_videos"),
    ("videos", "features", "normalize_videos"),
    ("features", "model", "train_entities"),
    ("model", "predictions", "predict"),
    ("videos", "whitening", "fit_whitening"),
    ("whitening", "features", ""),
    ("predictions", "metrics", "evaluate"),
]
WIDTH, HEIGHT, STEP_X, STEP_Y = 1.6, 0.85, 3.25, 1.6


def draw(path: Path) -> None:
    """Write the picture to ``path``."""
    mpl.rcParams["font.family"] = "DejaVu Sans"
    mpl.rcParams["svg.hashsalt"] = "yt8m_spark"  # the same bytes each time
    figure, axes = plt.subplots(figsize=(13, 3))
    for x, y, name, holds in TABLES.values():
        left, bottom = x * STEP_X - WIDTH / 2, y * STEP_Y - HEIGHT / 2
        box = FancyBboxPatch(
            (left, bottom), WIDTH, HEIGHT, "round,pad=0.05", fc=PALE, ec=LINE, lw=1.2
        )
        axes.add_patch(box)
        centre = x * STEP_X
        axes.text(
            centre, y * STEP_Y + 0.22, name, ha="center", va="center", weight="bold", color=INK
        )
        axes.text(centre, y * STEP_Y - 0.14, holds, ha="center", va="center", size=7.5, color=INK)
    for start, end, job in ARROWS:
        _arrow(axes, TABLES[start][:2], TABLES[end][:2], job)
    axes.set_xlim(-1, 4 * STEP_X + 1)
    axes.set_ylim(-0.55, STEP_Y + 0.75)
    axes.set_aspect("equal")
    axes.axis("off")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None}, facecolor="white")
    plt.close(figure)


def _arrow(axes: plt.Axes, start: tuple[float, float], end: tuple[float, float], job: str) -> None:
    """Arrow from box to box, the job's name beside it."""
    x0, y0, x1, y1 = start[0] * STEP_X, start[1] * STEP_Y, end[0] * STEP_X, end[1] * STEP_Y
    if y0 == y1:
        x0, x1 = x0 + WIDTH / 2 + 0.07, x1 - WIDTH / 2 - 0.07
    elif y0 > y1:
        y0, y1 = y0 - HEIGHT / 2 - 0.07, y1 + HEIGHT / 2 + 0.07
        x0, x1 = (x0, x1) if x0 == x1 else (x0 + 0.3, x1 - 0.4)
    else:
        y0, y1, x0, x1 = y0 + HEIGHT / 2 + 0.07, y1 - HEIGHT / 2 - 0.07, x0 + 0.4, x1 - 0.3
    axes.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.3})
    style = {"size": 7.5, "color": INK, "family": "DejaVu Sans Mono"}
    if y0 == y1:
        axes.text((x0 + x1) / 2, y0 + 0.12, job, ha="center", va="bottom", **style)
    elif x0 == x1:
        axes.text(x0 + 0.1, (y0 + y1) / 2, job, ha="left", va="center", **style)
    else:
        axes.text((x0 + x1) / 2 - 0.12, (y0 + y1) / 2, job, ha="right", va="center", **style)


if __name__ == "__main__":
    draw(Path(__file__).with_name("data_flow.svg"))
