"""Recipes: which classifier on which video features, as the rows of the paper's Table 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from yt8m_spark.core.losses import LOSSES
from yt8m_spark.core.statistic_names import ENCODINGS, STATISTICS, is_encoding, is_statistic

__all__ = ["DEFAULT_RECIPES", "FRAMES", "NETWORK_RECIPES", "Recipe", "parse_recipe"]

FRAMES = "frames"  # in place of statistics: a classifier of single frames, averaged (§4.1.1)

# Recipes on networks of frames (§4.1.2, §4.1.3), and the networks.
NETWORK_RECIPES = {"dbof": "dbof", "lstm": "lstm", "mean_network": "mean"}

DEFAULT_RECIPES = ("hinge_mean", "logistic_mean", "moe_mean", "moe_mean_std_top5")


class Recipe(NamedTuple):
    """One classifier family on some statistics of the frames, or on the frames themselves.

    Or a network of frames; its ``loss`` is "network", its options say which.
    """

    name: str
    loss: str
    statistics: tuple[str, ...]
    network: str = ""  # "dbof", "lstm" or "mean"

    @property
    def feature_set(self) -> str:
        """Name of its features, which recipes share: ``mean_std_top5``."""
        return "_".join(self.statistics)

    @property
    def of_frames(self) -> bool:
        """Whether it reads frames: to classify each (§4.1.1, Eq. 1), or by a network."""
        return self.statistics == (FRAMES,)

    @property
    def methods(self) -> set[str]:
        """Codebooks of frames that it needs: "kmeans" of VLAD, "gmm" of Fisher vectors (§4.1.2)."""
        return {ENCODINGS[name] for name in self.statistics if is_encoding(name)}

    def columns(self, feature_lists: Sequence[str]) -> list[str]:
        """Columns of a videos table that it reads, side by side."""
        return [f"{s}_{name}" for s in self.statistics for name in feature_lists]


def parse_recipe(name: str) -> Recipe:
    """Recipe of a name such as ``moe_mean_std_top5``: a loss, then statistics or "frames".

    ``vlad`` and ``fisher`` count as statistics.

    Or of a network of frames: ``dbof``, ``lstm``, ``mean_network``.

    Raises
    ------
    ValueError
        If the name is none.
    """
    if name in NETWORK_RECIPES:
        return Recipe(name, "network", (FRAMES,), NETWORK_RECIPES[name])
    loss, *statistics = name.split("_")
    distinct = len(set(statistics)) == len(statistics) > 0
    known = statistics == [FRAMES] or all(is_statistic(s) or is_encoding(s) for s in statistics)
    if loss not in LOSSES or not known or not distinct:
        names = "/".join((*STATISTICS, *ENCODINGS))
        raise ValueError(
            f"a recipe is {'/'.join(NETWORK_RECIPES)}, or one of {'/'.join(LOSSES)}, then {FRAMES} "
            f"or any of {names}, as in {DEFAULT_RECIPES[-1]}; got {name!r}"
        )
    return Recipe(name, loss, tuple(statistics))
