"""The paper's metrics and the starter code's, from counts (paper §5.1, Eq. 8-11).

Axes: E entities, G groups of videos, R = 1 + N: the evaluation itself, then its bootstrap
replicates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.entity_figures import EntityFigures, EntityTotals
from yt8m_spark.core.log_loss import STARTER_ABSENT
from yt8m_spark.core.ranking import RankingCounts, ranking_metrics

__all__ = ["evaluation_metrics", "tie_metrics"]

Floats = NDArray[np.float64]

# Bounds nearer to their figure than this are rounding, not ties.
_SAME = 1e-12


def evaluation_metrics(
    ranking: RankingCounts,
    totals: EntityTotals,
    pool_sums: Floats,
    weights: Floats,
    hit_at: Sequence[int],
) -> dict[str, Floats]:
    """All metrics, (R,) each: those of the evaluation, then those of its replicates.

    Paper: §5.1: mAP (Eq. 8-10), Hit@k (Eq. 11), PERR. The paper has no GAP: ``gap_at_20`` is the
    starter code's, the average precision of the 20 best predictions of all videos in one pool
    over the labels of all videos, and stands under both names. Losses: `core.log_loss`; all else
    are fractions in [0, 1]. A replicate without labelled videos has NaN.

    Parameters
    ----------
    ranking : RankingCounts
        Of all videos.
    totals : EntityTotals
        Of all entities.
    pool_sums : (R,) float64
        The sum of h_i H_i / T_i over the pool.
    weights : (G, R) float64
        `core.bootstrap.replicate_weights`.
    hit_at : sequence of int
        Numbers of ranks that ``ranking`` was counted with.

    Raises
    ------
    ValueError
        If no video has a label: nearly every metric divides by the number of those.
    """
    found = ranking_metrics(ranking, hit_at, weights)
    times = weights[ranking.groups]
    n_videos, n_labels, n_entities = (
        np.where(n > 0, n, np.nan)
        for n in (
            ranking.n_videos @ times,
            (ranking.n_labels * ranking.n_videos) @ times,
            totals.n_entities,
        )
    )
    gap = pool_sums / n_labels
    n_absent = n_videos * totals.n_present - totals.n_scored
    return {
        **found,
        "map": totals.average_precision / n_entities,
        "gap_at_20": gap,
        "starter_map": totals.starter_average_precision / n_entities,
        "starter_gap_at_20": gap,
        "loss": totals.loss / n_entities / n_videos,
        "starter_loss": (totals.starter_loss + n_absent * STARTER_ABSENT) / n_videos,
    }


def tie_metrics(
    metrics: dict[str, float], figures: EntityFigures, pool_bounds: Floats, n_labels: int
) -> dict[str, float]:
    """Best and worst of map, gap_at_20 and starter_map over tie orders (`core.tie_bounds`).

    For map, predictions tie that round to one threshold of 1e-4; for the other two, those of
    equal float32 scores. Which 20 predictions of a video are pooled is left as it is. A bound
    that equals its figure is left out.
    """
    bounds = {
        "map": figures.bounds.mean(axis=0),
        "gap_at_20": pool_bounds / n_labels,
        "starter_map": figures.starter_bounds.mean(axis=0),
    }
    return {
        f"{name}_{which}": float(bound)
        for name, pair in bounds.items()
        for which, bound in zip(("best", "worst"), pair, strict=True)
        if abs(bound - metrics[name]) > _SAME
    }
