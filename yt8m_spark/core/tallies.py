"""What an evaluation counts of each entity, in the form in which it travels.

Rows may stand for a pair more than once and in any order; reducing adds them up. A *key* is
``j * G + g`` for the threshold tau_j = j / 10000, j in 1..10000, that a score rounds to and the
group g of its video. Axes: C rows, E entities, G groups of videos (`core.bootstrap`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "N_SUMS",
    "Cells",
    "Confusions",
    "EntitySums",
    "Hits",
    "SumRows",
    "TopRows",
    "merge_sums",
    "sum_rows",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# n_positives, n_listed, n_scored, loss, starter_loss
N_SUMS = 5


class Cells(NamedTuple):
    """Predictions of an entity by key, those that round to zero left out."""

    entities: Ints  # (C,)
    keys: Ints  # (C,)
    totals: Ints  # (C,)


class Hits(NamedTuple):
    """Labels that are predicted, one row each, those whose score rounds to zero left out."""

    entities: Ints  # (C,)
    keys: Ints  # (C,)


class TopRows(NamedTuple):
    """The best 20 predictions of each video."""

    entities: Ints  # (C,)
    scores: NDArray[np.float32]  # (C,)
    is_hit: NDArray[np.bool_]  # (C,)
    groups: Ints  # (C,)
    videos: Ints  # (C,), row of the video in its batch; in order of their ids once reduced


class Confusions(NamedTuple):
    """Videos of an entity that miss it while another one stands in its place."""

    entities: Ints  # (C,)
    confused_with: Ints  # (C,)
    n_videos: Ints  # (C,)


class EntitySums(NamedTuple):
    """Sums over the videos of each group."""

    entities: Ints  # (E,), ascending
    values: Floats  # (E, G, 5): n_positives, n_listed, n_scored (listed or a label), both losses


class SumRows(NamedTuple):
    """`EntitySums`, a row for each (entity, group) of which something is known."""

    entities: Ints  # (C,)
    groups: Ints  # (C,)
    n_positives: Ints  # (C,), videos labelled with the entity
    n_listed: Ints  # (C,), videos it is predicted for, with whatever score
    n_scored: Ints  # (C,), videos it is predicted for or a label of
    loss: Floats  # (C,), sum over the latter
    starter_loss: Floats  # (C,), sum over the latter


def merge_sums(into: EntitySums | None, more: EntitySums) -> EntitySums:
    """Sum of both; ``into`` may be used up."""
    if into is None:
        return more
    if np.array_equal(into.entities, more.entities):
        into.values.__iadd__(more.values)
        return into
    entities = np.union1d(into.entities, more.entities)
    values = np.zeros((len(entities), *more.values.shape[1:]))
    for sums in (into, more):
        values[np.searchsorted(entities, sums.entities)] += sums.values
    return EntitySums(entities, values)


def sum_rows(sums: EntitySums) -> SumRows:
    """``sums`` as rows, entities ascending."""
    rows, groups = np.nonzero(sums.values[:, :, 2])
    values = sums.values[rows, groups]
    counts = values[:, :3].astype(np.int64)
    return SumRows(sums.entities[rows], groups, *counts.T, *values[:, 3:].T)
