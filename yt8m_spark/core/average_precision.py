"""Average precision from counts that merge exactly (paper §5.1, Eq. 8-10).

Every average precision of the project is one sum over rows in descending order of score::

    AP = 1 / n_positives * sum over i of h_i * H_i / T_i

with h_i the hits of row i, and H_i, T_i the hits and the predictions of rows 1..i. A row is a
threshold of Eq. 8-10 (mAP) or a single prediction (GAP@20, the starter code's mAP).
Axes: N rows, R runs of rows of one group.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.scored import order_bits

__all__ = ["N_THRESHOLDS", "pool_parts", "precision_sums", "run_starts", "thresholds"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

N_THRESHOLDS = 10_000  # tau_j = j / 10000, j = 1..10000


def thresholds(scores: NDArray[np.floating]) -> Ints:
    """Index j of the threshold tau_j = j / 10000 nearest to each score: it, rounded to 1e-4.

    A score just between two goes to the even one, as in Python's ``round``.
    """
    # A float32 score times 10000 is exact in float64; in float32 it would round twice.
    return np.rint(np.asarray(scores, dtype=np.float64) * N_THRESHOLDS).astype(np.int64)


def pool_parts(scores: NDArray[np.floating]) -> Ints:
    """Part of the pool that each float32 score in [0, 1] belongs to: ascending with the score.

    There are at most 1,017 parts, eight for each halving of the score. All scores of a part are
    neighbours in the order of the pool, so the rank of a prediction is its rank in its part plus
    the counts of the parts above: no machine sees the whole pool, unless all scores are alike.
    """
    return (order_bits(scores) >> 20).astype(np.int64)


def run_starts(groups: NDArray[np.generic]) -> Ints:
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
