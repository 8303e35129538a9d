"""What stands where a label should: the entities that one is taken for. Ours, not the paper's.

A video with labels G_v should have them at its first |G_v| ranks. A label that is not there is
*missed*; an entity that is there, scores above 0 and is no label stands in its place. Every missed
label is confused, once a video, with every such entity of the video. Axes: as in `core.scored`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.scored import RankedBatch, pair_keys, row_of_each
from yt8m_spark.core.tallies import Confusions

__all__ = ["confusions_of", "most_confused"]

Ints = NDArray[np.int64]

_MOST = 10  # that are kept of an entity


def confusions_of(ranked: RankedBatch, is_hit: NDArray[np.bool_]) -> Confusions:
    """Confusions of a batch, one row a video and pair.

    Parameters
    ----------
    ranked : RankedBatch
        Its lists reach rank |G_v| or hold all there is.
    is_hit : (N,) bool
        `core.ranking.hits` of it.
    """
    rows, label_rows = row_of_each(ranked.offsets), row_of_each(ranked.label_offsets)
    ranks = np.arange(len(rows)) - ranked.offsets[rows]
    first = ranks < np.diff(ranked.label_offsets)[rows]
    found = pair_keys(rows, ranked.entities)[first & is_hit]
    missed = np.flatnonzero(~np.isin(pair_keys(label_rows, ranked.label_values), found))
    wrong = np.flatnonzero(first & ~is_hit & (ranked.scores > 0))
    # Each missed label goes with every wrong entity of its video: a run of ``wrong``.
    starts = np.searchsorted(rows[wrong], label_rows[missed])
    counts = np.searchsorted(rows[wrong], label_rows[missed], side="right") - starts
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return Confusions(
        np.repeat(ranked.label_values[missed], counts),
        ranked.entities[wrong[np.repeat(starts, counts) + within]],
        np.ones(counts.sum(), dtype=np.int64),
    )


def most_confused(rows: Confusions) -> Confusions:
    """At most 10 for each entity, most videos first, equal ones in the order of their ids."""
    keys, place = np.unique(
        np.stack([rows.entities, rows.confused_with]), axis=1, return_inverse=True
    )
    n_videos = np.bincount(place, weights=rows.n_videos, minlength=keys.shape[1])
    counts = n_videos.astype(np.int64)
    order = np.lexsort((keys[1], -counts, keys[0]))
    entities, others = keys[:, order]
    ranks = np.arange(len(order)) - np.searchsorted(entities, entities)
    kept = ranks < _MOST
    return Confusions(entities[kept], others[kept], counts[order][kept])
