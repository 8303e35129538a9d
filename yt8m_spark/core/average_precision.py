"""Average precision from counts that merge exactly (paper §5.1, Eq. 8-10).

Every average precision of the project is one sum over rows in descending order of score::

    AP = 1 / n_positives * sum over i of h_i * H_i / T_i

with h_i the hits of row i, and H_i, T_i the hits and the predictions of rows 1..i. A row is a
threshold of Eq. 8-10 (mAP) or a single prediction (GAP@20, the starter code's mAP).
Axes: N rows, R runs of rows of one group, C cells of the histogram.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.ranking import hits
from yt8m_spark.core.scored import RankedBatch, ScoredBatch, order_bits, row_of_each

__all__ = [
    "N_THRESHOLDS",
    "Cells",
    "cells_of",
    "counts_above",
    "merge_cells",
    "pool_buckets",
    "precision_sums",
    "run_starts",
    "thresholds",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

N_THRESHOLDS = 10_000  # tau_j = j / 10000, j = 1..10000
_SPAN = N_THRESHOLDS + 1


class Cells(NamedTuple):
    """A sparse histogram: predictions and hits of an entity whose rounded score is tau_j."""

    entities: Ints  # (C,)
    thresholds: Ints  # (C,), j in 1..10000; (entity, j) ascending, each once
    hits: Ints  # (C,)
    totals: Ints  # (C,)


def thresholds(scores: NDArray[np.floating]) -> Ints:
    """Index j of the threshold tau_j = j / 10000 nearest to each score: it, rounded to 1e-4.

    A score just between two goes to the even one, as in Python's ``round``.
    """
    # A float32 score times 10000 is exact in float64; in float32 it would round twice.
    return np.rint(np.asarray(scores, dtype=np.float64) * N_THRESHOLDS).astype(np.int64)


def cells_of(batch: ScoredBatch | RankedBatch) -> Cells:
    """Histogram of the scores of ``batch`` that do not round to zero (labels as sets)."""
    if isinstance(batch, ScoredBatch):
        # Far fewer than B x E; the float32 bound lets a few zeros through, dropped below.
        rows, columns = np.nonzero(batch.scores > np.float32(0.4 / N_THRESHOLDS))
        listed = _cell_keys(batch.entities[columns], batch.scores[rows, columns])
        true = _cell_keys(*_scored_labels(batch))
    else:
        is_hit = hits(batch)
        listed = _cell_keys(batch.entities, batch.scores)
        true = _cell_keys(batch.entities[is_hit], batch.scores[is_hit])
    keys, totals = np.unique(listed, return_counts=True)
    return _cells(keys, np.bincount(np.searchsorted(keys, true), minlength=len(keys)), totals)


def merge_cells(parts: Sequence[Cells]) -> Cells:
    """Sum of one or more histograms."""
    if len(parts) == 1:
        return parts[0]
    merged = Cells(*map(np.concatenate, zip(*parts, strict=True)))
    keys = merged.entities * _SPAN + merged.thresholds
    order = np.argsort(keys, kind="stable")
    first = run_starts(keys[order])
    if not len(first):
        return merged
    sums = (np.add.reduceat(counts[order], first) for counts in (merged.hits, merged.totals))
    return _cells(keys[order][first], *sums)


def pool_buckets(scores: NDArray[np.floating]) -> Ints:
    """A bucket of each float32 score in [0, 1]: ascending with the score, at most 16,257 of them.

    All scores of a bucket are neighbours in the order of the pool, so the rank of a prediction is
    its rank in its bucket plus the counts of the buckets above: no machine sees the whole pool.
    """
    return (order_bits(scores) >> 16).astype(np.int64)


def counts_above(buckets: Ints, counts: Ints) -> Ints:
    """Sum of ``counts`` (N,) over the rows whose bucket is higher; ``buckets`` (N,) differ."""
    order = np.argsort(-buckets)
    above = np.empty_like(counts)
    above[order] = np.cumsum(counts[order]) - counts[order]
    return above


def run_starts(groups: Ints) -> Ints:
    """Index of the first row of each run of equal ``groups``, (R,)."""
    changed = np.ones(len(groups), dtype=bool)
    changed[1:] = groups[1:] != groups[:-1]
    return np.flatnonzero(changed)


def precision_sums(
    first: Ints, hit_counts: Ints, totals: Ints, before: Ints
) -> tuple[Floats, Ints]:
    """Sum of h_i H_i / T_i over each run of rows, best first.

    Paper: Eq. 8-10, without the 1 / n_positives.

    Parameters
    ----------
    first : (R,) int64
        Index of the first row of each run, `run_starts`; R >= 1.
    hit_counts, totals : (N,) int64
        h_i, and the predictions of row i (at least 1).
    before : (R, 2) int64
        Hits and predictions that precede each run in its ranking.

    Returns
    -------
    sums : (R,) float64
    after : (R, 2) int64
        ``before`` plus the run's own: what precedes the rows that continue it.
    """
    counts = np.stack([hit_counts, totals], axis=1)
    running = np.cumsum(counts, axis=0)
    # What `before` adds, less what the runs in front of this one have left in the running sum.
    lengths = np.diff(np.append(first, len(counts)))
    shift = before - (running[first] - counts[first])
    running += np.repeat(shift, lengths, axis=0)
    precision = running[:, 0] / running[:, 1]
    after = running[first + lengths - 1]
    return np.add.reduceat(hit_counts * precision, first), after


def _scored_labels(batch: ScoredBatch) -> tuple[Ints, NDArray[np.float32]]:
    """Entity and score of each label that the batch scores."""
    if not len(batch.entities):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    columns = np.searchsorted(batch.entities, batch.label_values).clip(max=len(batch.entities) - 1)
    known = batch.entities[columns] == batch.label_values
    rows = row_of_each(batch.label_offsets)[known]
    return batch.label_values[known], batch.scores[rows, columns[known]]


def _cell_keys(entities: Ints, scores: NDArray[np.float32]) -> Ints:
    """One integer for each (entity, threshold); scores that round to zero are left out."""
    nearest = thresholds(scores)
    return (entities * _SPAN + nearest)[nearest > 0]


def _cells(keys: Ints, hit_counts: Ints, totals: Ints) -> Cells:
    entities, nearest = np.divmod(keys, _SPAN)
    return Cells(entities, nearest, hit_counts, totals)
