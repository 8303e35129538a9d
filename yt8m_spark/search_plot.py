"""How the settings of a search compare, as a picture and as a table (paper §4.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, NullFormatter, NullLocator

from yt8m_spark.artifacts import staged_file
from yt8m_spark.core.search import Setting, setting_names
from yt8m_spark.spark.search_figures import SettingFigures

__all__ = ["draw_search", "settings_table"]

# Told apart by most eyes; more kinds than that begin anew.
_COLOURS = ("#2166ac", "#d6604d", "#1b7837", "#e08214", "#762a83", "#4d4d4d")
_STYLES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D")
_INK, _RULE = "#2b2f36", "#d8dce2"
_MOST_TICKS = 8
_AXIS = {"map": "mean AP on the validation split", "loss": "mean loss on the validation split"}


class _Group(NamedTuple):
    """Settings drawn alike."""

    name: str
    colour: int
    style: int
    joined: bool
    members: list[int]  # places among all settings


def draw_search(rows: Sequence[SettingFigures], overall: int, metric: str, path: str) -> None:
    """Draw the mean figure of each setting against its learning rate, as PNG.

    Settings that differ in nothing but the learning rate are joined to a line. Of settings drawn
    at random, whose L2 all differ, those of one batch size and H share a colour and are not
    joined. A setting whose training diverged has no point.

    Parameters
    ----------
    rows : sequence of SettingFigures
    overall : int
        The one that is best on the whole, which is marked.
    metric : {"map", "loss"}
    path : str
    """
    figure = Figure(figsize=(7.5, 4.4), dpi=150, layout="constrained")
    axes = figure.subplots()
    values = [row.validation_map if metric == "map" else row.validation_loss for row in rows]
    groups = _groups([row.setting for row in rows])
    for group in groups:
        points = [(rows[i].setting.learning_rate, values[i]) for i in group.members]
        _draw_group(axes, group, points)
    _mark_best(axes, rows[overall].setting, values[overall])
    _dress(axes, sorted({row.setting.learning_rate for row in rows}), metric)
    if len(groups) > 1:
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8
        )
    with staged_file(Path(path)) as temporary:
        figure.savefig(temporary, format="png")


def settings_table(names: Sequence[str], rows: Sequence[SettingFigures], overall: int) -> str:
    """Text table of the settings, the one that is best on the whole starred."""
    width = max(map(len, ("setting", *names)))
    lines = [f"{'setting':<{width}}      mAP      loss  entities"]
    lines.append("  ".join(["-" * width, "-" * 7, "-" * 8, "-" * 8]))
    for i, (name, row) in enumerate(zip(names, rows, strict=True)):
        star = "*" if i == overall else " "
        precision = f"{100 * row.validation_map:6.2f}{star}"
        lines.append(
            f"{name:<{width}}  {precision}  {row.validation_loss:8.5f}  {row.n_entities:8d}"
        )
    return "\n".join(lines) + "\n"


def _groups(settings: Sequence[Setting]) -> list[_Group]:
    """Settings that make a line or share a colour: colours tell batch size and H, styles L2."""
    joined = len({s.l2 for s in settings}) <= len(_STYLES)
    plain = [s._replace(learning_rate=1.0, l2=s.l2 if joined else 0.0) for s in settings]
    names = dict(zip(plain, setting_names(plain, without="learning_rate"), strict=True))
    colours = sorted({(s.batch_size, s.n_experts) for s in plain})
    styles = sorted({s.l2 for s in plain})
    return [
        _Group(
            names[common],
            colours.index((common.batch_size, common.n_experts)),
            styles.index(common.l2),
            joined,
            [i for i, s in enumerate(plain) if s == common],
        )
        for common in sorted(names, key=lambda s: (s.l2, s.batch_size, s.n_experts))
    ]


def _draw_group(axes: Axes, group: _Group, points: Sequence[tuple[float, float]]) -> None:
    points = sorted(points)
    axes.plot(
        [rate for rate, _ in points],
        [value for _, value in points],
        color=_COLOURS[group.colour % len(_COLOURS)],
        linestyle=_STYLES[group.style] if group.joined else "none",
        marker=_MARKERS[group.style],
        ms=5,
        lw=1.6,
        label=group.name,
        zorder=3,
    )


def _mark_best(axes: Axes, setting: Setting, value: float) -> None:
    if not math.isfinite(value):
        return
    at = (setting.learning_rate, value)
    axes.plot(*at, "o", ms=13, mfc="none", mec=_INK, mew=1.4, zorder=4)
    axes.annotate(
        f"{value:.4g}", at, xytext=(0, 11), textcoords="offset points", ha="center", color=_INK
    )


def _dress(axes: Axes, rates: Sequence[float], metric: str) -> None:
    axes.set_xscale("log")
    if len(rates) <= _MOST_TICKS:
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if len(rates) == 1:
        axes.set_xlim(rates[0] / 2, rates[0] * 2)
    axes.margins(y=0.15)
    axes.set_xlabel("learning rate", color=_INK)
    axes.set_ylabel(_AXIS[metric], color=_INK)
    axes.grid(color=_RULE, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_RULE)
    axes.tick_params(colors=_INK, labelsize=8.5)
    axes.set_axisbelow(True)
