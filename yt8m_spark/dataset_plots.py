"""Pictures of a collected data set: Fig. 5 and 6 of the paper, and what each stage left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from yt8m_spark.core.funnel import Stage
from yt8m_spark.plot_style import COLOURS, INK, clean, save_png
from yt8m_spark.profile_plots import save_plots
from yt8m_spark.spark.profile import Profile

__all__ = ["draw_funnel", "save_dataset_plots"]


def save_dataset_plots(profile: Profile, funnel: Sequence[Stage], folder: str) -> list[str]:
    """Write PNG files to ``folder``: frequency (Fig. 5), verticals (Fig. 6), and others; paths."""
    path = str(Path(folder) / "stages.png")
    save_png(draw_funnel(funnel), path)
    return [*save_plots(profile, folder), path]


def draw_funnel(funnel: Sequence[Stage]) -> Figure:
    """Candidates that are left after each stage, and the reason that took most of the others."""
    names = ["candidates", *(stage.name.replace("_", " ") for stage in funnel)]
    left = [funnel[0].n_in, *(stage.n_out for stage in funnel)]
    figure = Figure(figsize=(7.2, 0.8 + 0.36 * len(names)), layout="constrained")
    axes = clean(figure.subplots())
    bars = axes.barh(names, left, color=COLOURS[0], height=0.62)
    labels = [f"{left[0]:,}", *map(_told, funnel)]
    axes.bar_label(bars, labels=labels, padding=4, fontsize=8, color=INK)
    axes.invert_yaxis()
    axes.set(xlabel="rows left", xlim=(0, 1.5 * left[0]))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= left[0]])
    return figure


def _told(stage: Stage) -> str:
    """What is left, and what the main reason took."""
    text = f"{stage.n_out:,}"
    for reason, n in list(stage.reasons.items())[:1]:
        text += f"   -{n:,} {reason.replace('_', ' ')}"
    return text
