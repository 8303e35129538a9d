"""What a data set is like: odd features, and how entities and verticals are filled (paper §3).

Axes: B videos of a batch, F frames, D features, E entities, L labels or values of all B videos.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from yt8m_spark.core.scored import row_of_each

__all__ = [
    "ODDITIES",
    "Expected",
    "compare_counts",
    "frames_oddity",
    "rank_correlation",
    "row_groups",
    "vector_oddities",
    "zipf_slope",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# What may be odd about the features of a video, by code: one at most, the first that holds.
ODDITIES = ("", "empty", "not_finite", "zero", "constant")
_EMPTY, _NOT_FINITE, _ZERO, _CONSTANT = 1, 2, 3, 4


class Expected(NamedTuple):
    """Videos of each entity against what another count of them leads to expect."""

    expected: Floats  # (E,) videos, the reference scaled to the same total
    deviations: Floats  # (E,) standard deviations off, of a Poisson count; 0 where none expected


def frames_oddity(codes: NDArray[np.uint8]) -> int:
    """Code in `ODDITIES` of one feature list ``codes`` (F, D).

    "zero" is a list of zero bytes alone, "constant" one of several frames that are all the same.
    """
    if not codes.size:
        return _EMPTY
    first = codes[0]
    # Nearly every video is told by its first two frames, without a pass over the others.
    if len(codes) > 1 and not (codes[1] == first).all():
        return 0
    if not (codes == first).all():
        return 0
    if not first.any():
        return _ZERO
    return _CONSTANT if len(codes) > 1 else 0


def vector_oddities(offsets: Ints, values: NDArray[np.floating]) -> NDArray[np.int8]:
    """Codes in `ODDITIES` (B,) of vectors laid end to end.

    Parameters
    ----------
    offsets : (B + 1,) int64
        Vector b is ``values[offsets[b]:offsets[b + 1]]``.
    values : (L,) float
        May hold NaN and infinities.

    Returns
    -------
    (B,) int8
        "zero" is a vector of 0.0 alone, "constant" one of several values that are all the same.
    """
    lengths = np.diff(offsets)
    codes = np.zeros(len(lengths), dtype=np.int8)
    filled = np.flatnonzero(lengths)
    codes[lengths == 0] = _EMPTY
    if not len(filled):
        return codes
    # reduceat takes the start of the next vector as the end, so it must not see empty ones.
    least = np.minimum.reduceat(values, offsets[filled])
    most = np.maximum.reduceat(values, offsets[filled])
    same = least == most
    found = np.where(same & (lengths[filled] > 1), _CONSTANT, 0)
    found = np.where(same & (least == 0), _ZERO, found)
    codes[filled] = np.where(np.isfinite(least) & np.isfinite(most), found, _NOT_FINITE)
    return codes


def zipf_slope(counts: Ints) -> float:
    """Slope of log(count) over log(rank), the rank counted from 1 at the most frequent entity.

    Paper: §3.4, Fig. 5, which shows a Zipf-like distribution and fits none.

    Parameters
    ----------
    counts : (E,) int64
        Videos of each entity, in any order; entities without a video are left out.

    Returns
    -------
    float
        About -1 for Zipf's law; NaN for fewer than two entities with videos.

    Notes
    -----
    Ours: a least-squares fit with weights 1 / rank, so that each decade of ranks counts alike.
    Unweighted, the thousands of rare entities would alone decide.
    """
    found = np.sort(counts[counts > 0])[::-1].astype(np.float64)
    if len(found) < 2:
        return float("nan")
    ranks = np.arange(1, len(found) + 1, dtype=np.float64)
    x, y, weights = np.log(ranks), np.log(found), 1 / ranks
    x -= np.average(x, weights=weights)
    y -= np.average(y, weights=weights)
    return float((weights * x * y).sum() / (weights * x * x).sum())


def rank_correlation(first: Ints, second: Ints) -> float:
    """Spearman's correlation of two counts (E,) of the same entities, ties by mean rank.

    NaN where one of them is the same for all entities, or there are fewer than two.
    """
    a, b = (rankdata(counts).astype(np.float64) for counts in (first, second))
    a -= a.mean() if len(a) else 0.0
    b -= b.mean() if len(b) else 0.0
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else float("nan")


def compare_counts(counts: Ints, reference: Ints) -> Expected:
    """How far ``counts`` (E,) are from being a sample of ``reference`` (E,).

    Ours: each count is taken for a Poisson variable whose mean is the reference's share of all.
    """
    total = reference.sum()
    expected = reference * (counts.sum() / total if total else 0.0)
    spread = np.sqrt(np.where(expected > 0, expected, 1.0))
    return Expected(expected, np.where(expected > 0, (counts - expected) / spread, 0.0))


def row_groups(offsets: Ints, labels: Ints, entities: Ints, groups: Ints) -> tuple[Ints, Ints]:
    """Each pair of a row and a group that a label of the row belongs to, once.

    Parameters
    ----------
    offsets : (B + 1,) int64
        Labels of row b are ``labels[offsets[b]:offsets[b + 1]]``.
    labels : (L,) int64
        Entity ids; those outside ``entities`` belong to no group.
    entities : (E,) int64
        Strictly ascending.
    groups : (E, G) int64
        Groups of each entity, from 0; -1 fills up.

    Returns
    -------
    rows, groups : (N,) int64
        Ascending in rows, then in groups.
    """
    if not len(entities) or not len(labels):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    at = np.searchsorted(entities, labels).clip(max=len(entities) - 1)
    known = entities[at] == labels
    rows = np.repeat(row_of_each(offsets)[known], groups.shape[1])
    found = groups[at[known]].ravel()  # (number of known labels * G,)
    n_groups = int(groups.max()) + 1
    keys = np.unique((rows * n_groups + found)[found >= 0])
    return keys // max(n_groups, 1), keys % max(n_groups, 1)
