"""A profile as pictures: the paper's Fig. 5 and Fig. 6, and histograms of lengths and labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from yt8m_spark.plot_style import INK, RULE, clean, save_png
from yt8m_spark.spark.profile import Profile
from yt8m_spark.spark.profile_splits import Distribution

__all__ = ["save_plots"]

# One colour a split in every picture, told apart by colour-blind people too; then others.
_COLOURS = {"train": "#2a6fbb", "validate": "#d9822b", "test": "#3a9679", "all": "#2a6fbb"}
_OTHER = "#8e6bbf"
_VOCABULARY = "#b4b9c1"


def save_plots(profile: Profile, folder: str) -> dict[str, str]:
    """Write the pictures that ``profile`` has something to show in, as PNG files.

    Returns
    -------
    dict of str to str
        Title of each picture by the path of its file.
    """
    files = {}
    for name, (title, figure) in _figures(profile).items():
        path = str(Path(folder) / f"{name}.png")
        save_png(figure, path)
        files[path] = title
    return files


def _figures(profile: Profile) -> dict[str, tuple[str, Figure]]:
    figures = {}
    if profile.labelled_splits:
        figures["frequency"] = ("Videos of each entity", _frequency(profile))
    if profile.verticals:
        figures["verticals"] = ("Top-level verticals", _verticals(profile))
    lengths = {name: s.lengths for name, s in profile.splits.items() if s.lengths is not None}
    if lengths:
        figures["lengths"] = ("Lengths of videos", _histogram(lengths, "length of a video, s"))
    labels = {name: s.labels for name, s in profile.splits.items()}
    figures["labels"] = ("Labels of videos", _histogram(labels, "labels of a video"))
    return figures


def _frequency(profile: Profile) -> Figure:
    """Videos of each entity over its rank, both logarithmic (Fig. 5)."""
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = clean(figure.subplots())
    if profile.vocabulary_slope is not None:
        counts = profile.entities["vocabulary_count"].drop_null().to_numpy()
        slope = profile.vocabulary_slope
        # Wide: the line of a train split that is the vocabulary's own would hide it.
        _rank_line(axes, counts, f"vocabulary (train): slope {slope:.2f}", _VOCABULARY, 4)
    for split in profile.labelled_splits:
        slope_of = profile.zipf_slopes[split]
        told = "" if slope_of is None else f": slope {slope_of:.2f}"
        counts = profile.entities[f"n_{split}"].to_numpy()
        _rank_line(axes, counts, split + told, _colour(split))
    axes.set(xscale="log", yscale="log", xlabel="rank of the entity", ylabel="videos")
    axes.grid(color=RULE, linewidth=0.6)
    axes.legend(frameon=False, loc="lower left")
    return figure


def _rank_line(axes: Axes, counts: np.ndarray, label: str, colour: str, width: float = 1.8) -> None:
    found = np.sort(counts[counts > 0])[::-1]
    ranks = np.arange(1, len(found) + 1)
    axes.plot(ranks, found, color=colour, linewidth=width, label=label)


def _verticals(profile: Profile) -> Figure:
    """Entities and videos of each vertical, most entities on top (Fig. 6)."""
    verticals = profile.verticals[::-1]  # bars are drawn from below
    places = np.arange(len(verticals), dtype=float)
    splits = profile.labelled_splits
    height = 1.2 + 0.27 * len(verticals) * max(1.0, 0.55 * len(splits))
    figure = Figure(figsize=(9, height), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    bars = clean(left).barh(places, [v.n_entities for v in verticals], color=_VOCABULARY)
    left.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=7.5, color=INK)
    left.set(yticks=places, yticklabels=[v.vertical for v in verticals])
    left.set(xlabel="entities of the vocabulary", ylim=(-0.7, len(verticals) - 0.3))
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.margins(x=0.12)
    clean(right)
    thick = 0.8 / max(1, len(splits))
    for i, split in enumerate(splits):
        shift = thick * ((len(splits) - 1) / 2 - i)
        videos = [v.n_videos[split] for v in verticals]
        bars = right.barh(places + shift, videos, thick, color=_colour(split), label=split)
        right.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=7.5, color=INK)
    right.set(xlabel="videos with such an entity (logarithmic)")
    if any(n for v in verticals for n in v.n_videos.values()):
        right.set_xscale("log")
        right.set_xlim(left=0.8, right=3 * max(max(v.n_videos.values()) for v in verticals))
    if len(splits) > 1:
        figure.legend(
            *right.get_legend_handles_labels(),
            loc="outside upper right",
            ncols=len(splits),
            frameon=False,
        )
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
    return figure


def _histogram(distributions: Mapping[str, Distribution], name: str) -> Figure:
    """Share of the videos of each split in bins."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = clean(figure.subplots())
    for split, distribution in distributions.items():
        shares = 100 * np.array(distribution.bins) / sum(distribution.bins)
        width = distribution.bin_width
        # Whole numbers: the bar of a bin stands on the numbers that fall into it.
        edges = np.arange(len(shares) + 1) * width - 0.5
        label = f"{split}: median {distribution.median:,.4g}"
        colour = _colour(split)
        axes.stairs(shares, edges, color=colour, linewidth=1.6, label=label)
        if len(distributions) == 1:
            axes.stairs(shares, edges, color=colour, alpha=0.15, fill=True)
    axes.set(xlabel=name, ylabel="% of videos", ylim=(0, None))
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    figure.legend(loc="outside upper right", ncols=len(distributions), frameon=False)
    return figure


def _colour(split: str) -> str:
    return _COLOURS.get(split, _OTHER)
