"""How labels of each entity come about: how many true ones are there, how many of those are true.

Paper: §3.5 has 14.5 % and 78.8 % for all entities together.

Axes: E entities.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.arrays import asarray_like

__all__ = ["PRECISION", "RECALL", "Channel", "LabelRates", "channel_of", "label_rates"]

Floats = NDArray[np.float64]

RECALL, PRECISION = 0.145, 0.788  # of machine labels against raters (§3.5)


class LabelRates(NamedTuple):
    """How the labels of entities come about; each (E,) float64, in (0, 1]."""

    observed: Floats  # o, share of the videos that have the label
    recall: Floats  # ρ, P(label | entity is there)
    precision: Floats  # π, P(entity is there | label)

    @property
    def true_rate(self) -> Floats:
        """Share of the videos in which the entity is, q = π o / ρ."""
        return self.precision * self.observed / self.recall

    @property
    def false_rate(self) -> Floats:
        """P(label | entity is not there), φ = (1 - π) o / (1 - q)."""
        return (1 - self.precision) * self.observed / (1 - self.true_rate)

    def take(self, places: NDArray[np.intp]) -> LabelRates:
        """Rates of the entities at ``places``."""
        return LabelRates(*(array[places] for array in self))


class Channel(NamedTuple):
    """Probability of a label and of none, (E,), where the entity is and where it is not."""

    label_if_true: Any  # ρ
    label_if_not: Any  # φ
    none_if_true: Any  # 1 - ρ
    none_if_not: Any  # 1 - φ


def label_rates(observed: Floats, recall: Floats, precision: Floats) -> LabelRates:
    """Rates of entities that are seen in shares ``observed`` of the videos, all (E,).

    Parameters
    ----------
    observed : (E,) float64
        In (0, 1). Of `core.block_state.prior_probability`: where a positive counts for several
        videos it does so here, so that a classifier which says the same of all videos is at rest
        at the true rate.
    recall, precision : (E,) float64
        In (0, 1].

    Notes
    -----
    A recall below twice the frequency is taken as that (1 at most): then an entity that labels up
    to half of the videos is in no more than half of π of them, and a label is more probable where
    it is than where it is not.
    Of an entity in a fifth of the labels, a recall of 14.5 % cannot be true. Ours.
    """
    return LabelRates(observed, np.minimum(np.maximum(recall, 2 * observed), 1.0), precision)


def channel_of(rates: LabelRates, like: Any) -> Channel:
    """Channel of ``rates`` as float32 arrays of the kind and on the device of ``like``."""
    recall, false_rate = rates.recall, rates.false_rate
    parts = (recall, false_rate, 1 - recall, 1 - false_rate)
    return Channel(*(asarray_like(part.astype(np.float32), like) for part in parts))
