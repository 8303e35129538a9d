"""Entities with enough videos, and videos with enough entities, at once (paper §3.2).

The two filters of the paper, entities under 200 videos and videos with no entity left, are taken in
rounds until neither removes anything. What is left does not hang on the order: it is the largest
set of entities and videos in which each has enough of the other.

With the paper's one entity a video the first round ends it: a video leaves when all its entities
have left, so no entity that stays loses a video. Where a video needs two entities or more,
a round can start another.

Axes: V videos, E entities, L labels of all videos.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.scored import row_of_each

__all__ = ["covered_videos", "kept_labels", "removal_rounds"]

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def covered_videos(
    offsets: Ints, places: Ints, alive: Flags, *, min_labels: int = 1
) -> tuple[Ints, int]:
    """Videos of each entity, over the videos that have enough living entities.

    Parameters
    ----------
    offsets : (V + 1,) int64
        Labels of video v are ``places[offsets[v]:offsets[v + 1]]``.
    places : (L,) int64
        Entities 0 .. E - 1, each at most once in a video.
    alive : (E,) bool
        Entities that have not been removed.
    min_labels : int
        Living entities that a video needs.

    Returns
    -------
    counts : (E,) int64
        0 for an entity that is not alive.
    n_videos : int
        Videos that have enough.
    """
    rows, living = row_of_each(offsets), alive[places]
    n_living = np.bincount(rows[living], minlength=len(offsets) - 1)
    enough = n_living >= min_labels
    counted = places[living & enough[rows]]
    return np.bincount(counted, minlength=len(alive)).astype(np.int64), int(enough.sum())


def removal_rounds(offsets: Ints, places: Ints, removed_in: Ints, *, min_labels: int = 1) -> Ints:
    """Round in which each video lost what it needs, (V,); 0 where it kept it.

    Parameters
    ----------
    offsets, places : as in `covered_videos`
    removed_in : (E,) int64
        Round, from 1, in which each entity was removed; 0 for one that was kept.
    min_labels : int
        Entities that a video needs.

    Notes
    -----
    A video leaves in the round that takes the ``min_labels``-th last of its entities. One that
    never had so many leaves in round 1.
    """
    never = np.iinfo(np.int64).max
    rows = row_of_each(offsets)
    rounds = np.where(removed_in == 0, never, removed_in)[places]
    order = np.lexsort([-rounds, rows])  # within a video the entity that stays longest first
    n_labels = np.diff(offsets)
    enough = n_labels >= min_labels
    lost = np.ones(len(n_labels), dtype=np.int64)
    lost[enough] = rounds[order][offsets[:-1][enough] + min_labels - 1]
    lost[lost == never] = 0
    return lost


def kept_labels(offsets: Ints, places: Ints, kept: Flags) -> tuple[Ints, Ints]:
    """Offsets (V + 1,) and places of the labels whose entity is ``kept`` (E,)."""
    stay = kept[places]
    ends = np.concatenate([[0], np.cumsum(stay)])
    return ends[offsets].astype(np.int64), places[stay]
