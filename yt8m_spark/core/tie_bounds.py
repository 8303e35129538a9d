"""The best and the worst that the order of tied predictions can make of an average precision.

Predictions of equal score have no order of their own. Put one by one, hits first, they give the
highest average precision of all orders, hits last the lowest. For mAP, predictions are tied that
round to one threshold of 1e-4, though Eq. 8-10 give no order among them either: all hits of a
threshold get the precision at its end. That may lie above even the best order, as where a
threshold has hits alone (the first of them, put by itself, comes at a lower precision).
Axes: T ties (runs of predictions of one score), best first, of E rankings one after the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["tie_bounds"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def tie_bounds(hits: Ints, totals: Ints, first: Ints, before: tuple[int, int] = (0, 0)) -> Floats:
    """Best and worst sum of h_i H_i / T_i of each ranking over all orders within ties, (E, 2).

    Parameters
    ----------
    hits, totals : (T,) int64
        Hits and predictions of each tie.
    first : (E,) int64
        First tie of each ranking, ascending, 0 first; a ranking has at least one tie.
    before : (int, int)
        Hits and predictions that precede them, in every ranking.
    """
    counts = np.stack([hits, totals])
    precede = np.cumsum(counts, axis=1) - counts  # before each tie, in all rankings
    lengths = np.diff(first, append=len(hits))
    precede -= np.repeat(precede[:, first], lengths, axis=1)
    of_tie = np.repeat(np.arange(len(hits)), hits)  # a row each hit
    start = np.cumsum(hits) - hits
    within = np.arange(1, len(of_tie) + 1) - start[of_tie]  # 1 .. h
    gained = before[0] + precede[0, of_tie] + within
    best = before[1] + precede[1, of_tie] + within
    worst = best + (totals - hits)[of_tie]
    ranking = np.repeat(np.arange(len(first)), lengths)[of_tie]
    bounds = (
        np.bincount(ranking, weights=gained / rank, minlength=len(first)) for rank in (best, worst)
    )
    return np.stack(list(bounds), axis=1)
