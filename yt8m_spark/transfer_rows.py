"""Rows of a transfer: what is learned on the target, and what of the source helps (Table 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from yt8m_spark.recipes import FRAMES, NETWORK_RECIPES, Recipe, parse_recipe

__all__ = ["NETWORK_WAYS", "WHITENINGS", "TransferRow", "default_rows", "feature_set", "parse_row"]

WHITENINGS = ("own", "transferred")
NETWORK_WAYS = ("scratch", "frozen", "finetuned")
DEFAULT_STATISTICS = (("mean",), ("mean", "std", "top5"))

_LOSSES = {
    "logistic": "Logistic regression",
    "hinge": "SVM",
    "moe": "Mixture of experts",
}
_NETWORKS = {"lstm": "LSTM", "dbof": "DBoF", "mean": "Mean frame"}
_WAYS = {
    "frozen": "frozen features, fully connected layer",
    "finetuned": "fine-tuned",
}


class TransferRow(NamedTuple):
    """One row: a classifier of video features under a whitening, or a network of frames."""

    name: str
    way: str  # "own" or "transferred"; "scratch", "frozen" or "finetuned"
    recipe: Recipe

    @property
    def of_network(self) -> bool:
        """Whether it is a network's, learned or taken over."""
        return bool(self.recipe.network)

    @property
    def needs_source(self) -> bool:
        """Whether it takes something over from the source."""
        return self.way not in ("own", "scratch")

    @property
    def features(self) -> str:
        """What it learns from, by a name that rows share: ``mean_std_top5_own``, ``frozen``."""
        return self.way if self.of_network else f"{self.recipe.feature_set}_{self.way}"

    @property
    def plain(self) -> str:
        """Its approach with nothing taken over: ``Mixture of experts [mean; std; top5]``."""
        if self.of_network:
            return _NETWORKS[self.recipe.network]
        return f"{_LOSSES[self.recipe.loss]} [{'; '.join(self.recipe.statistics)}]"

    @property
    def gain(self) -> str:
        """What it takes over from the source; nothing if empty."""
        if not self.needs_source:
            return ""
        return _WAYS[self.way] if self.of_network else "transferred PCA"


def parse_row(name: str) -> TransferRow:
    """Row of a name: ``transferred_moe_mean_std_top5``, ``own_logistic_mean``, ``lstm_frozen``.

    Raises
    ------
    ValueError
        If the name is none.
    """
    first, _, rest = name.partition("_")
    if first in WHITENINGS:
        recipe = parse_recipe(rest)
        if not recipe.of_frames:
            return TransferRow(name, first, recipe)
    network, _, way = name.rpartition("_")
    kinds = {kind: recipe for recipe, kind in NETWORK_RECIPES.items()}
    if network in kinds and way in NETWORK_WAYS:
        return TransferRow(name, way, parse_recipe(kinds[network]))
    raise ValueError(
        f"a row is own_ or transferred_ with a loss and statistics, as in own_moe_mean, or "
        f"{'/'.join(kinds)} with _{'/_'.join(NETWORK_WAYS)}; got {name!r}"
    )


def default_rows(
    sets: Sequence[tuple[str, ...]], transferred: Sequence[str], network: str | None
) -> list[TransferRow]:
    """All rows that the inputs allow.

    Parameters
    ----------
    sets : sequence of tuple of str
        Statistics, side by side, that there can be.
    transferred : sequence of str
        Feature sets that a whitening of the source is given for.
    network : str, optional
        Kind of the network of the source.
    """
    names = []
    for statistics in sets:
        for loss in ("logistic", "moe"):
            ways = [w for w in WHITENINGS if w == "own" or "_".join(statistics) in transferred]
            names += ["_".join((way, loss, *statistics)) for way in ways]
    if network is not None:
        names += [f"{network}_{way}" for way in NETWORK_WAYS]
    return [parse_row(name) for name in names]


def feature_set(columns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Statistics and feature lists that ``columns`` of a whitening are of; None if of no recipe.

    ``mean_rgb, mean_audio, std_rgb, std_audio`` are (mean, std) of (rgb, audio), in this order or
    another: a whitening keeps its own.
    """
    split = [name.partition("_") for name in columns]
    statistics = tuple(dict.fromkeys(statistic for statistic, _, _ in split))
    lists = tuple(dict.fromkeys(name for _, _, name in split))
    try:
        recipe = parse_recipe("_".join(("logistic", *statistics)))
    except ValueError:
        return None
    same = recipe.statistics != (FRAMES,) and sorted(recipe.columns(lists)) == sorted(columns)
    return (recipe.statistics, lists) if same else None
