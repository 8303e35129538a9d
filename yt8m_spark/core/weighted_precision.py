"""Sums of h_i H_i / T_i of an evaluation and of its bootstrap replicates, from counts by group.

Only rows at which something is hit add to an average precision. A *step* is such a row together
with the rows in front of it, back to the step before: of those it matters only how many there are,
by group. Counts by group times the weights of `core.bootstrap.replicate_weights` are the counts of
every replicate, in whole numbers that float64 holds exactly.

Axes: C rows, K hits, S steps, G groups of videos, R = 1 + N: the evaluation and N replicates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranking", "ranked_precision", "threshold_precision"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Numbers of an array (steps, replicates) or (steps, groups) that is held: 16 MB.
_AT_ONCE = 1 << 21


class Ranking(NamedTuple):
    """Rows of a ranking by the step that they belong to; rows after the last hit are left out."""

    steps: Ints  # (C,), ascending, 0 .. S - 1
    groups: Ints  # (C,)
    totals: Ints  # (C,), predictions of the row
    hit_steps: Ints  # (K,), ascending; every step has a hit
    hit_groups: Ints  # (K,)


def threshold_precision(ranking: Ranking, weights: Floats) -> Floats:
    """Sum over thresholds of h H / T (Eq. 8-10 without 1 / n_positives), (R,).

    The hits and predictions of one step are those of one threshold, all at once.
    """
    sums = np.zeros(weights.shape[1])
    before = np.zeros((2, weights.shape[1]))
    for hits, totals in _chunks(ranking, weights.shape):
        h = hits @ weights
        running = h.cumsum(axis=0) + before[0], (totals @ weights).cumsum(axis=0) + before[1]
        sums += (h * _quotient(*running)).sum(axis=0)
        before = np.stack([running[0][-1], running[1][-1]])
    return sums


def ranked_precision(ranking: Ranking, weights: Floats, before: Floats | None = None) -> Floats:
    """Sum over predictions one by one of h H / T, (R,).

    Each step ends with its one hit. In a replicate the video of a hit may stand several times: one
    after the other, the order of a pool being that of ids.

    Parameters
    ----------
    ranking : Ranking
    weights : (G, R) float64
    before : (2, R) float64, optional
        Hits and predictions that precede the ranking; none by default.
    """
    sums = np.zeros(weights.shape[1])
    state = np.zeros((2, weights.shape[1])) if before is None else before
    start = 0
    for hits, totals in _chunks(ranking, weights.shape):
        # Steps have one hit each, so hit i is that of step i.
        times = weights[ranking.hit_groups[start : start + len(hits)]]
        start += len(hits)
        hits_after = times.cumsum(axis=0) + state[0]
        after = (totals @ weights).cumsum(axis=0) + state[1]
        state = np.stack([hits_after[-1], after[-1]])
        for copy in range(int(times.max(initial=0))):
            # The last copy stands at (hits_after, after), the one before it one row higher, ...
            there = times > copy
            sums += np.where(there, _quotient(hits_after - copy, after - copy), 0.0).sum(axis=0)
    return sums


def _chunks(ranking: Ranking, shape: tuple[int, int]) -> Iterator[tuple[Floats, Floats]]:
    """Hits and totals of steps by group, some steps at a time, (s, G) each."""
    n_steps = int(ranking.hit_steps[-1]) + 1 if len(ranking.hit_steps) else 0
    n_groups, size = shape[0], max(1, _AT_ONCE // max(shape))
    for start in range(0, n_steps, size):
        stop = min(start + size, n_steps)
        found = []
        for steps, groups, counts in (
            (ranking.hit_steps, ranking.hit_groups, None),
            (ranking.steps, ranking.groups, ranking.totals),
        ):
            part = slice(*np.searchsorted(steps, [start, stop]).tolist())
            cells = (steps[part] - start) * n_groups + groups[part]
            kept = None if counts is None else counts[part]
            counted = np.bincount(cells, weights=kept, minlength=(stop - start) * n_groups)
            found.append(counted.reshape(stop - start, n_groups).astype(np.float64))
        yield found[0], found[1]


def _quotient(hits: Floats, totals: Floats) -> Floats:
    """``hits / totals``, 0 where nothing is drawn."""
    return np.divide(hits, totals, out=np.zeros_like(hits), where=totals > 0)
