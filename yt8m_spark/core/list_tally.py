"""Count what a batch of lists of predictions says about each entity.

Axes: N listed scores, L labels, G groups of videos.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.average_precision import thresholds
from yt8m_spark.core.log_loss import loss_of_labels, loss_of_others
from yt8m_spark.core.scored import RankedBatch, pair_keys, row_of_each
from yt8m_spark.core.tallies import N_SUMS, Cells, EntitySums, Hits

__all__ = ["tally_lists"]

Ints = NDArray[np.int64]


def tally_lists(
    ranked: RankedBatch, is_hit: NDArray[np.bool_], groups: Ints, n_groups: int
) -> tuple[Cells, Hits, EntitySums]:
    """Cells, hits and sums of a batch of lists; what is not listed is not predicted.

    Parameters
    ----------
    ranked : RankedBatch
        Labels as sets.
    is_hit : (N,) bool
        `core.ranking.hits` of it.
    groups : (B,) int64
        Group of each video, 0 <= g < ``n_groups``.
    n_groups : int
    """
    rows = row_of_each(ranked.offsets)
    keys = thresholds(ranked.scores) * n_groups + groups[rows]
    kept = keys >= n_groups  # the rest rounds to zero
    cells = _distinct(ranked.entities[kept], keys[kept])
    hits = Hits(ranked.entities[kept & is_hit], keys[kept & is_hit])
    return cells, hits, _sums(ranked, is_hit, groups, n_groups)


def _distinct(entities: Ints, keys: Ints) -> Cells:
    pairs, totals = np.unique(pair_keys(entities, keys), return_counts=True)
    return Cells(pairs >> 32, pairs & 0xFFFFFFFF, totals)


def _sums(
    ranked: RankedBatch, is_hit: NDArray[np.bool_], groups: Ints, n_groups: int
) -> EntitySums:
    rows, label_rows = row_of_each(ranked.offsets), row_of_each(ranked.label_offsets)
    found = pair_keys(rows, ranked.entities)[is_hit]
    unlisted = ~np.isin(pair_keys(label_rows, ranked.label_values), found)
    entities = np.union1d(ranked.entities, ranked.label_values)
    sums = EntitySums(entities, np.zeros((len(entities), n_groups, N_SUMS)))
    scores = ranked.scores.astype(np.float64)
    for is_label, chosen, of in (
        (1, is_hit, loss_of_labels),
        (0, ~is_hit, loss_of_others),
    ):
        loss, starter_loss = of(scores[chosen])
        ones = np.ones(len(loss))
        values = np.stack([is_label * ones, ones, ones, loss, starter_loss], axis=1)
        _add(sums, ranked.entities[chosen], groups[rows[chosen]], values)
    missed = ranked.label_values[unlisted]
    loss, starter_loss = loss_of_labels(np.zeros(len(missed)))
    ones = np.ones(len(missed))
    values = np.stack([ones, 0 * ones, ones, loss, starter_loss], axis=1)
    _add(sums, missed, groups[label_rows[unlisted]], values)
    return sums


def _add(sums: EntitySums, entities: Ints, groups: Ints, values: NDArray[np.float64]) -> None:
    n_entities, n_groups, _ = sums.values.shape
    cells = np.searchsorted(sums.entities, entities) * n_groups + groups
    for column in range(N_SUMS):
        found = np.bincount(cells, weights=values[:, column], minlength=n_entities * n_groups)
        sums.values[:, :, column] += found.reshape(n_entities, n_groups)
