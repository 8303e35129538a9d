"""Head, torso and tail of the vocabulary, and figures of groups of entities (paper §3.2, Fig. 5).

The paper shows that entities follow Zipf's law and does not part them; the bands are ours.
Axes: E entities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BANDS",
    "EntityFrequencies",
    "Group",
    "frequency_bands",
    "group_by_name",
    "group_figures",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BANDS = ("head", "torso", "tail")


class EntityFrequencies(NamedTuple):
    """How frequent entities are, and the bands that this makes."""

    entities: Ints  # (E,), ascending
    counts: Ints  # (E,)
    source: str  # what they count

    @property
    def bands(self) -> Ints:
        """Band of each entity, (E,), see `frequency_bands`."""
        return frequency_bands(self.counts)

    def places(self, entities: Ints) -> Ints:
        """Place of each of ``entities`` among the known ones, all of which they must be."""
        return np.searchsorted(self.entities, entities)


class Group(NamedTuple):
    """Entities that have something in common, and their figures."""

    name: str
    n_entities: int
    n_positives: int  # labels: a video with two entities of the group counts twice
    means: dict[str, float]  # of each figure over the group's entities; NaN if none has it


def frequency_bands(frequencies: Ints) -> Ints:
    """Band of each entity, places in `BANDS`, (E,), from its ``frequencies`` (E,), labels.

    The head are the most frequent entities, that hold the first half of all labels; the torso
    those that follow, up to 90 %; the rest is the tail. An entity stands where the labels of all
    that are more frequent end, so equal frequencies share a band, and the one that crosses a
    border is still above it. An entity of no labels is of the tail.

    Raises
    ------
    ValueError
        If a frequency is negative.
    """
    if frequencies.min(initial=0) < 0:
        raise ValueError(f"frequencies must not be negative, got {frequencies.min()}")
    values, place, n_entities = np.unique(-frequencies, return_inverse=True, return_counts=True)
    labels = -values * n_entities
    total = int(labels.sum())
    above = np.cumsum(labels) - labels  # labels of the entities that are more frequent
    # In whole numbers: whether a border is reached is not a matter of rounding.
    bands: Ints = (2 * above >= total).astype(np.int64) + (10 * above >= 9 * total)
    return bands[place]


def group_by_name(names: Sequence[Sequence[str]]) -> dict[str, Ints]:
    """Places of the entities of each name, both ascending; an entity may have several or none."""
    places: dict[str, list[int]] = {}
    for place, found in enumerate(names):
        for name in dict.fromkeys(found):
            places.setdefault(name, []).append(place)
    return {name: np.array(places[name], dtype=np.int64) for name in sorted(places)}


def group_figures(
    groups: Mapping[str, Ints], n_positives: Ints, figures: Mapping[str, Floats]
) -> list[Group]:
    """Mean of each of ``figures`` over the entities of each of ``groups``.

    Parameters
    ----------
    groups : mapping of str to (G,) int64
        Places of the entities of each group.
    n_positives : (E,) int64
    figures : mapping of str to (E,) float64
        NaN where an entity has none; it counts in no mean of that figure.
    """
    return [
        Group(
            name,
            len(places),
            int(n_positives[places].sum()),
            {figure: _mean(values[places]) for figure, values in figures.items()},
        )
        for name, places in groups.items()
    ]


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)].tolist()
    return math.fsum(known) / len(known) if known else math.nan
