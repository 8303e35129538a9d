"""Segment MAP@K: the metric of the 2019 challenge (segments of 5 seconds, rated by people).

For an entity with N rated segments that show it, the AP of its list of segments, best first, is::

    AP@K = 1/N * sum over k = 1..n of P(k) * rel(k),   MAP@K = mean of AP@K over entities

where the list is cut to its first K segments as submitted, then the segments that nobody rated for
the entity are skipped: they are neither right nor wrong. The n that are left are numbered anew;
rel(k) is 1 where raters saw the entity, P(k) the share of such segments in the first k.

The starter code (google/youtube-8m, segment_eval_inference.py) is the same in all of this. It
differs in what it does at the edges, where we follow the definition:

- It takes the mean over the entities that the submission lists, so that leaving out a hard one
  raises it; an entity with positives that is not listed counts 0 here.
- It fails on a submission that lists an entity without a positive segment; there is no AP of it,
  and it is left out here.
- It leaves the line's end on the last segment of each line, which it therefore never finds; and it
  fails on the header line that inference.py writes.
- A segment listed twice for an entity counts twice there; here the reader refuses it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["AT_K", "segment_average_precision"]

AT_K = 100_000  # K of the challenge


def segment_average_precision(is_positive: NDArray[np.bool_], n_positives: int) -> float:
    """AP of one entity's list of segments, which is cut to K and holds rated segments alone.

    Parameters
    ----------
    is_positive : (n,) bool
        Whether raters saw the entity in each listed segment, best first; may be empty.
    n_positives : int
        Rated segments that show the entity, listed or not.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If there are no positives, of which there is no AP, or fewer than the list has: the AP
        would exceed 1.
    """
    n_hits = int(np.count_nonzero(is_positive))
    if n_positives < max(n_hits, 1):
        raise ValueError(f"n_positives must be at least 1 and the {n_hits} listed: {n_positives}")
    ranks = np.flatnonzero(is_positive) + 1
    precisions = np.arange(1, n_hits + 1) / ranks
    return float(precisions.sum() / n_positives)
