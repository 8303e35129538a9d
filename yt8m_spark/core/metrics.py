"""The paper's metrics and the starter code's, from counts (paper §5.1, Eq. 8-11).

Axes: E entities, G numbers of labels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.ranking import RankingCounts, ranking_metrics

__all__ = ["EntityFigures", "entity_figures", "evaluation_metrics"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class EntityFigures(NamedTuple):
    """What is known of each entity that has at least one video."""

    entities: Ints  # (E,), ascending
    n_positives: Ints  # (E,), videos labelled with it, >= 1
    average_precision: Floats  # (E,), Eq. 8-10
    starter_average_precision: Floats  # (E,), over the top 20 of each video


def entity_figures(
    n_positives: dict[int, int], sums: dict[int, float], starter_sums: dict[int, float]
) -> EntityFigures:
    """Average precisions from the sums of `core.average_precision.precision_sums` by entity.

    An entity that is never predicted has no sum and an average precision of 0: the paper's mean
    is over all entities. Positives whose score rounds to zero, or that miss the top 20, count in
    the denominator: they are recall that is never reached.
    """
    entities = np.array(sorted(n_positives), dtype=np.int64)
    counts = np.array([n_positives[e] for e in entities.tolist()], dtype=np.int64)

    def divided(by_entity: dict[int, float]) -> Floats:
        return np.array([by_entity.get(e, 0.0) for e in entities.tolist()]) / counts

    return EntityFigures(entities, counts, divided(sums), divided(starter_sums))


def evaluation_metrics(
    ranking: RankingCounts, figures: EntityFigures, pool_sum: float
) -> dict[str, float]:
    """All metrics, fractions in [0, 1].

    Paper: §5.1: mAP (Eq. 8-10), Hit@k (Eq. 11), PERR. The paper has no GAP: ``gap_at_20`` is the
    starter code's, the average precision of the 20 best predictions of all videos in one pool,
    and stands under both names.

    Parameters
    ----------
    ranking : RankingCounts
        Of all videos.
    figures : EntityFigures
        Of all entities with a video; at least one.
    pool_sum : float
        The sum of h_i H_i / T_i over the pool.

    Raises
    ------
    ValueError
        If no video has a label: every metric divides by the number of those.
    """
    gap = pool_sum / int(figures.n_positives.sum()) if len(figures.entities) else 0.0
    return {
        **ranking_metrics(ranking),
        "map": _mean(figures.average_precision),
        "gap_at_20": gap,
        "starter_map": _mean(figures.starter_average_precision),
        "starter_gap_at_20": gap,
    }


def _mean(values: Floats) -> float:
    return math.fsum(values.tolist()) / len(values)
