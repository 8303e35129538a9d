"""What to know of one entity beside its average precision (paper §5.1).

All of it comes from the entity's row of the histogram that Eq. 8-10 sum over, so that it merges
exactly over partitions and no score is kept. The paper gives none of these figures; they are ours.
Axes: N thresholds that a score was rounded to, P points of a curve.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.average_precision import N_THRESHOLDS

__all__ = ["N_BINS", "RECALLS", "EntityReport", "calibration_error", "report_entity"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

N_BINS = 15  # of equal width, as is usual for expected calibration errors (Guo et al., 2017)
RECALLS = (0.2, 0.5, 0.8)
_PERCENT = (20, 50, 80)  # `RECALLS`, in whole numbers so that a recall of exactly 0.2 reaches 0.2
_MOST_POINTS = 50


class EntityReport(NamedTuple):
    """Figures of one entity; scores and shares in [0, 1], NaN where there is none."""

    # Rounded tau of the highest F1, which is that of the scores that round to at least tau, those
    # from about tau - 5e-5; NaN if no true label scores above 0.
    best_threshold: float
    best_f1: float  # 0 if no true label scores above 0
    precision_at_recall: Floats  # (3,), at `RECALLS`
    bin_hits: Ints  # (15,), true labels whose rounded score lies in the bin
    bin_totals: Ints  # (15,), pairs of a video and the entity
    bin_score_sums: Floats  # (15,), sum of their rounded scores
    curve_thresholds: Floats  # (P,), tau, descending; P <= 50
    curve_precision: Floats  # (P,), of the scores of at least tau
    curve_recall: Floats  # (P,)


def report_entity(thresholds: Ints, hits: Ints, totals: Ints, n_positives: int) -> EntityReport:
    """Best threshold, precision at recall, calibration bins and curve of one entity.

    Paper: precision and recall at tau_j are Eq. 9 and 10. With H_j hits among the T_j scores of at
    least tau_j, and P positives::

        F1 = 2 H_j / (T_j + P)

    Parameters
    ----------
    thresholds : (N,) int64
        j of tau_j = j / 10000, strictly descending, in 1..10000.
    hits, totals : (N,) int64
        True labels, and pairs in all, whose score rounds to tau_j; at least 1 pair each.
    n_positives : int
        Videos labelled with the entity, those too whose score rounds to 0; at least 1.

    Returns
    -------
    EntityReport
        Of equal F1 the highest threshold. Thresholds are rounded: a figure at tau is of the scores
        that round to at least tau, those >= tau - 5e-5. To decide on scores as they are, compare
        them with that, not with tau. The precision at recall r is the highest at any
        threshold that reaches r. Bin b holds the scores in [b / 15, (b + 1) / 15), the last one 1
        too; pairs that round to 0 are not among ``totals``, so the caller adds them to bin 0.
        A curve of more than 50 points is thinned to points as evenly spread along it as can be;
        its ends are kept.

    Raises
    ------
    ValueError
        If the arrays differ in length, thresholds do not descend within 1..10000, or there are
        more hits than ``n_positives``: recall would pass 1.
    """
    _check(thresholds, hits, totals, n_positives)
    running_hits, running = np.cumsum(hits), np.cumsum(totals)
    precision = running_hits / running
    best_threshold, best_f1 = _best_f1(thresholds, running_hits, running, n_positives)
    kept = _thinned(hits, precision, running_hits / n_positives)
    return EntityReport(
        best_threshold,
        best_f1,
        _precision_at_recall(precision, running_hits, n_positives),
        *_bins(thresholds, hits, totals),
        thresholds[kept] / N_THRESHOLDS,
        precision[kept],
        running_hits[kept] / n_positives,
    )


def calibration_error(bin_hits: Ints, bin_totals: Ints, bin_score_sums: Floats) -> float:
    """Expected calibration error, in [0, 1]: mean distance of score and truth, bin by bin.

    The distance of a bin is that of its mean score and its share of true labels, weighted with
    its pairs. NaN if the bins hold none.

    Notes
    -----
    Of an entity's pairs nearly all are false and score nearly 0. They lie in the first bin, so an
    error of 0.001 is large beside an entity's frequency, not beside 1.
    """
    n_pairs = int(bin_totals.sum())
    if not n_pairs:
        return float("nan")
    return float(np.abs(bin_hits - bin_score_sums).sum() / n_pairs)


def _check(thresholds: Ints, hits: Ints, totals: Ints, n_positives: int) -> None:
    if not thresholds.shape == hits.shape == totals.shape:
        shapes = thresholds.shape, hits.shape, totals.shape
        raise ValueError(f"thresholds, hits and totals must have one length, got {shapes}")
    if not len(thresholds):
        return
    descending = (thresholds[1:] < thresholds[:-1]).all()
    if not (descending and thresholds[0] <= N_THRESHOLDS and thresholds[-1] >= 1):
        raise ValueError(f"thresholds must descend within 1..{N_THRESHOLDS}")
    if n_positives < 1 or hits.sum() > n_positives:
        raise ValueError(f"{hits.sum()} hits of {n_positives} positives")


def _best_f1(thresholds: Ints, hits: Ints, totals: Ints, n_positives: int) -> tuple[float, float]:
    if not len(hits) or not hits[-1]:
        return float("nan"), 0.0
    # The quotient of whole numbers is rounded once: equal F1 are equal, and argmax takes the first.
    f1 = 2 * hits / (totals + n_positives)
    best = int(np.argmax(f1))
    return float(thresholds[best]) / N_THRESHOLDS, float(f1[best])


def _precision_at_recall(precision: Floats, hits: Ints, n_positives: int) -> Floats:
    reached = np.searchsorted(100 * hits, np.multiply(_PERCENT, n_positives))
    # Raising the threshold may lower precision: the best one need not be the first that reaches r.
    best = [precision[i:].max() if i < len(hits) else np.nan for i in reached.tolist()]
    return np.array(best, dtype=np.float64)


def _bins(thresholds: Ints, hits: Ints, totals: Ints) -> tuple[Ints, Ints, Floats]:
    bins = np.minimum(thresholds * N_BINS // N_THRESHOLDS, N_BINS - 1)
    # Thresholds descend, so bins stand in runs; whole numbers add up exactly in any order.
    sums = np.zeros((3, N_BINS), dtype=np.int64)
    if len(bins):
        first = np.flatnonzero(np.diff(bins, prepend=-1))
        for row, values in zip(sums, (hits, totals, totals * thresholds), strict=True):
            row[bins[first]] = np.add.reduceat(values, first)
    return sums[0], sums[1], sums[2] / N_THRESHOLDS


def _thinned(hits: Ints, precision: Floats, recall: Floats) -> Ints:
    """Places of the points of the curve that are kept, ascending."""
    if len(hits) <= _MOST_POINTS:
        return np.arange(len(hits))
    # Where nothing is hit precision only falls: the tips of the teeth make the curve's shape, and
    # average precision sums over them alone.
    tips = hits > 0
    tips[[0, -1]] = True
    places = np.flatnonzero(tips)
    steps = np.hypot(np.diff(precision[places]), np.diff(recall[places]))
    along = np.append(0.0, np.cumsum(steps))
    wanted = np.searchsorted(along, np.linspace(0.0, along[-1], _MOST_POINTS))
    wanted[-1] = len(places) - 1
    kept: Ints = places[np.unique(np.minimum(wanted, len(places) - 1))]
    return kept
