"""Metrics of the order of a video's entities: Hit@k and PERR (paper §5.1, Eq. 11).

Sums are kept as whole numbers, apart for each number of labels and group of videos, so that they
merge exactly and in any order.
Axes: B videos of a batch, N listed scores of all B videos, C cells (a number of labels and a
group), K numbers of ranks, G groups of videos, R = 1 + bootstrap replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.scored import RankedBatch, pair_keys, row_of_each

__all__ = [
    "POOLED",
    "RankingCounts",
    "hits",
    "merge_ranking",
    "n_ranks",
    "ranking_counts",
    "ranking_metrics",
    "top_ranks",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# The starter code pools 20 entities of a video.
POOLED = 20


class RankingCounts(NamedTuple):
    """Counts of videos and hits, apart for each number of labels |G_v| and group."""

    n_labels: Ints  # (C,)
    groups: Ints  # (C,)
    n_videos: Ints  # (C,), videos of the cell
    equal_recall: Ints  # (C,), labels at ranks up to |G_v|
    positive_equal_recall: Ints  # (C,), the same, of scores above 0 alone
    hit_at: Ints  # (C, K), videos with a label at a rank up to k


def n_ranks(label_offsets: Ints, hit_at: Sequence[int] = (1, 5)) -> int:
    """Ranks that metrics look at: the pooled 20, or as many as a video has labels, or k."""
    return max(POOLED, *hit_at, int(np.diff(label_offsets).max(initial=0)))


def hits(ranked: RankedBatch) -> NDArray[np.bool_]:
    """(N,) whether the listed entity is a label of its video (labels as sets)."""
    labels = pair_keys(row_of_each(ranked.label_offsets), ranked.label_values)
    return np.isin(pair_keys(row_of_each(ranked.offsets), ranked.entities), labels)


def top_ranks(ranked: RankedBatch) -> Ints:
    """Places of the best 20 listed scores of each video."""
    rows = row_of_each(ranked.offsets)
    return np.flatnonzero(np.arange(len(rows)) - ranked.offsets[rows] < POOLED)


def ranking_counts(
    ranked: RankedBatch, hit_at: Sequence[int] = (1, 5), groups: Ints | None = None
) -> RankingCounts:
    """Counts of one batch; its lists must reach rank `n_ranks` or hold all there is.

    ``groups`` (B,) are the groups of its videos; without, all are of group 0.
    """
    rows = row_of_each(ranked.offsets)
    ranks = np.arange(len(rows)) - ranked.offsets[rows]  # 0-based
    is_hit = hits(ranked)
    n_labels = np.diff(ranked.label_offsets)

    def hits_of_videos(chosen: NDArray[np.bool_]) -> Ints:
        return np.bincount(rows[is_hit & chosen], minlength=len(n_labels))

    equal = ranks < n_labels[rows]
    per_video = RankingCounts(
        n_labels,
        np.zeros_like(n_labels) if groups is None else groups,
        np.ones_like(n_labels),
        hits_of_videos(equal),
        hits_of_videos(equal & (ranked.scores > 0)),
        np.stack([np.minimum(hits_of_videos(ranks < k), 1) for k in hit_at], axis=1),
    )
    return merge_ranking([per_video])


def merge_ranking(parts: Sequence[RankingCounts]) -> RankingCounts:
    """Sum of one or more counts, each cell once, ascending."""
    both = RankingCounts(*map(np.concatenate, zip(*parts, strict=True)))
    cells, place = np.unique(pair_keys(both.n_labels, both.groups), return_inverse=True)
    sums = []
    for counts in both[2:]:
        total = np.zeros((len(cells), *counts.shape[1:]), dtype=np.int64)
        np.add.at(total, place, counts)
        sums.append(total)
    return RankingCounts(cells >> 32, cells & 0xFFFFFFFF, *sums)


def ranking_metrics(
    counts: RankingCounts, hit_at: Sequence[int] = (1, 5), weights: Floats | None = None
) -> dict[str, Floats]:
    """Hit@k and PERR of all videos, and the starter code's Hit@1 and PERR, (R,) each.

    Paper: Eq. 11 (Hit@k) and §5.1 (PERR), both means over the videos that have labels::

        Hit@k = mean over v of [some e in G_v has rank_v,e <= k]
        PERR  = mean over v of |{e in G_v: rank_v,e <= |G_v|}| / |G_v|

    The starter code (google/youtube-8m, eval_util.py) differs in two things: a video without
    labels counts 0 and stays in the denominator, and PERR leaves out hits of score 0.
    Of equal scores the lower entity ranks first; where fewer than k entities are listed, those are
    all ranks there are.

    Parameters
    ----------
    counts : RankingCounts
        Of all videos, counted with ``hit_at``.
    hit_at : sequence of int
        Numbers of ranks; 1 among them.
    weights : (G, R) float64, optional
        How often each group counts; by default each once, and R is 1.

    Raises
    ------
    ValueError
        If no video has a label.
    """
    if weights is None:
        weights = np.ones((int(counts.groups.max(initial=0)) + 1, 1))
    labelled = counts.n_labels > 0
    if not counts.n_videos[labelled].sum():
        raise ValueError("ranking metrics are means over labelled videos, and there is none")
    times = weights[counts.groups]  # (C, R)
    n_videos, n_labelled = (
        np.where(n > 0, n, np.nan)  # a replicate may have none
        for n in (counts.n_videos @ times, np.where(labelled, counts.n_videos, 0) @ times)
    )
    shares = 1 / np.maximum(counts.n_labels, 1)
    found = counts.hit_at.T @ times  # (K, R)
    return {
        **{f"hit_at_{k}": n_hits / n_labelled for k, n_hits in zip(hit_at, found, strict=True)},
        "perr": (counts.equal_recall * shares) @ times / n_labelled,
        "starter_hit_at_1": found[list(hit_at).index(1)] / n_videos,
        "starter_perr": (counts.positive_equal_recall * shares) @ times / n_videos,
    }
