"""Metrics of the order of a video's entities: Hit@k and PERR (paper §5.1, Eq. 11).

Sums are kept as whole numbers, apart for each number of labels, so that they merge exactly and in
any order. Axes: B videos of a batch, N listed scores of all B videos, G numbers of labels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.scored import RankedBatch, pair_keys, row_of_each

__all__ = ["RankingCounts", "hits", "n_ranks", "ranking_counts", "ranking_metrics"]

Ints = NDArray[np.int64]

# The paper gives Hit@1 and Hit@5; the starter code pools 20 entities of a video.
_HIT_RANKS = (1, 5)
_POOLED = 20


class RankingCounts(NamedTuple):
    """Counts of videos and hits, apart for each number of labels |G_v|."""

    n_labels: Ints  # (G,), ascending
    n_videos: Ints  # (G,), videos with that many labels
    hit_at_1: Ints  # (G,), of them, with a label at rank 1
    hit_at_5: Ints  # (G,), with a label at a rank up to 5
    equal_recall: Ints  # (G,), labels at ranks up to |G_v|
    positive_equal_recall: Ints  # (G,), the same, of scores above 0 alone


def n_ranks(label_offsets: Ints) -> int:
    """Ranks that the metrics look at: the pooled 20, or as many as a video has labels."""
    return max(_POOLED, int(np.diff(label_offsets).max(initial=0)))


def hits(ranked: RankedBatch) -> NDArray[np.bool_]:
    """(N,) whether the listed entity is a label of its video (labels as sets)."""
    labels = pair_keys(row_of_each(ranked.label_offsets), ranked.label_values)
    return np.isin(pair_keys(row_of_each(ranked.offsets), ranked.entities), labels)


def ranking_counts(ranked: RankedBatch) -> RankingCounts:
    """Counts of one batch; its lists must reach rank `n_ranks` or hold all there is."""
    rows = row_of_each(ranked.offsets)
    ranks = np.arange(len(rows)) - ranked.offsets[rows]  # 0-based
    is_hit = hits(ranked)
    n_labels = np.diff(ranked.label_offsets)

    def hits_of_videos(chosen: NDArray[np.bool_]) -> Ints:
        return np.bincount(rows[is_hit & chosen], minlength=len(n_labels))

    equal = ranks < n_labels[rows]
    per_video = [
        np.ones_like(n_labels),
        *(np.minimum(hits_of_videos(ranks < k), 1) for k in _HIT_RANKS),
        hits_of_videos(equal),
        hits_of_videos(equal & (ranked.scores > 0)),
    ]
    groups, group = np.unique(n_labels, return_inverse=True)
    sums = np.zeros((len(per_video), len(groups)), dtype=np.int64)
    for total, values in zip(sums, per_video, strict=True):
        np.add.at(total, group, values)
    return RankingCounts(groups, *sums)


def ranking_metrics(counts: RankingCounts) -> dict[str, float]:
    """Hit@k and PERR of all videos, and the starter code's Hit@1 and PERR.

    Paper: Eq. 11 (Hit@k) and §5.1 (PERR), both means over the videos that have labels::

        Hit@k = mean over v of [some e in G_v has rank_v,e <= k]
        PERR  = mean over v of |{e in G_v: rank_v,e <= |G_v|}| / |G_v|

    The starter code (google/youtube-8m, eval_util.py) differs in two things: a video without
    labels counts 0 and stays in the denominator, and PERR leaves out hits of score 0.

    Raises
    ------
    ValueError
        If no video has a label.
    """
    labelled = counts.n_labels > 0
    n_videos, n_labelled = int(counts.n_videos.sum()), int(counts.n_videos[labelled].sum())
    if not n_labelled:
        raise ValueError("ranking metrics are means over labelled videos, and there is none")
    hit_at_1 = int(counts.hit_at_1.sum())
    n_labels = counts.n_labels[labelled]
    return {
        "hit_at_1": hit_at_1 / n_labelled,
        "hit_at_5": int(counts.hit_at_5.sum()) / n_labelled,
        "perr": math.fsum(counts.equal_recall[labelled] / n_labels) / n_labelled,
        "starter_hit_at_1": hit_at_1 / n_videos,
        "starter_perr": math.fsum(counts.positive_equal_recall[labelled] / n_labels) / n_videos,
    }
