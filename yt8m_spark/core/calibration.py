"""Scores to probabilities, an entity at a time: Platt scaling and isotonic regression.

The paper's classifiers give scores that order videos; it does not ask what share of the videos of
one score have the entity, so all of this is ours, after Platt (1999), with the Newton steps of Lin,
Lin and Weng (2007), and Zadrozny and Elkan (2002). A map never reverses two scores of an entity.
Axes: B videos, E entities, M maps, N buckets of scores, P numbers of all maps.

A map is fitted on counts in buckets of scores. Counts merge exactly over partitions, and a score
stands for less than 1/256 of itself, near 1 of its distance from 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

__all__ = [
    "METHODS",
    "N_BUCKETS",
    "Calibration",
    "ScoreCounts",
    "apply_calibration",
    "bucket_scores",
    "fit_isotonic",
    "fit_platt",
    "identity_map",
    "map_scores",
    "merge_counts",
    "score_buckets",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Map = tuple[Floats, Floats]

METHODS = ("platt", "isotonic")

# Scores nearer to 0 or 1 are one bucket: a float32 below 1 is at most 1 - 2**-24. The log-odds
# that Platt's map sees end here too, at -16.6 and 16.6: a score of 0 has none.
_LEAST = 2.0**-24
_LOW_BITS = 15  # of a float32's 23 bits of mantissa; 8 stay
_FIRST = int(np.float32(_LEAST).view(np.int32)) >> _LOW_BITS
_HALF = (int(np.float32(0.5).view(np.int32)) >> _LOW_BITS) - _FIRST
N_BUCKETS = 2 * _HALF + 1  # 11,777

_LEAST_SLOPE = 1e-3
_MOST_STEPS = 100
_LEAST_DAMPING, _MOST_DAMPING = 1e-12, 1e12


class ScoreCounts(NamedTuple):
    """Pairs of a video and an entity, and the true labels among them, by bucket of their score."""

    buckets: Ints  # (N,), strictly ascending, in 0 .. N_BUCKETS - 1
    hits: Ints  # (N,)
    totals: Ints  # (N,), at least 1


class Calibration(NamedTuple):
    """A map for each entity of a model: of "platt" 16 bytes, of "isotonic" 16 for each knot."""

    method: str
    entities: Ints  # (E,), ascending
    maps: Ints  # (E,), number of its map; map 0 is the one that rare entities share
    offsets: Ints  # (M + 1,), map m is x[offsets[m]:offsets[m + 1]], and y likewise
    x: Floats  # (P,), "platt": its slope; "isotonic": scores, ascending
    y: Floats  # (P,), "platt": its intercept; "isotonic": their probabilities, never descending

    @property
    def n_pooled(self) -> int:
        """Entities that share map 0."""
        return int(np.count_nonzero(self.maps == 0))


def score_buckets(scores: NDArray[np.float32]) -> Ints:
    """Bucket of each of ``scores``, in [0, 1]; it never descends where scores ascend."""
    # From 1/2 up the distance from 1 is exact, and takes the place of the score.
    folded = np.maximum(np.minimum(scores, np.float32(1) - scores), np.float32(_LEAST))
    steps = (folded.view(np.int32) >> _LOW_BITS).astype(np.int64) - _FIRST
    buckets: Ints = np.where(scores < 0.5, steps, N_BUCKETS - 1 - steps)
    return buckets


def bucket_scores(buckets: Ints) -> Floats:
    """Middle of each of ``buckets``, a score in (0, 1)."""
    steps = np.minimum(buckets, N_BUCKETS - 1 - buckets)
    low, high = (((steps + _FIRST + i) << _LOW_BITS).astype(np.int32).view("f4") for i in (0, 1))
    # The bucket of 1/2 holds nothing else.
    middle = np.where(steps == _HALF, 0.5, (low.astype(np.float64) + high) / 2)
    return np.where(buckets <= _HALF, middle, 1 - middle)


def merge_counts(parts: list[ScoreCounts]) -> ScoreCounts:
    """Sum of ``parts``, exactly, in any order; at least one."""
    buckets, place = np.unique(np.concatenate([p.buckets for p in parts]), return_inverse=True)
    sums = np.zeros((2, len(buckets)), dtype=np.int64)
    np.add.at(sums[0], place, np.concatenate([p.hits for p in parts]))
    np.add.at(sums[1], place, np.concatenate([p.totals for p in parts]))
    return ScoreCounts(buckets, *sums)


def fit_platt(counts: ScoreCounts) -> Map | None:
    """Slope (1,) and intercept (1,) of Platt's sigmoid; None if there is no true label.

    The map is ``p = sigmoid(slope * log(s / (1 - s)) + intercept)``, of the highest likelihood for
    Platt's targets: (N+ + 1) / (N+ + 2) for each of the N+ true labels and 1 / (N- + 2) for each
    of the N- others, where bare 1 and 0 would have few labels fitted too surely. A slope below
    0 says that high scores are less often true, and would reverse their order: it is kept at 0.001
    or above, where the map is near the share of true labels and the order stays.
    """
    if not counts.hits.any():
        return None
    high, low = _targets(counts)
    z = logit(bucket_scores(counts.buckets))
    n_true: Floats = counts.hits * high + (counts.totals - counts.hits) * low
    n = counts.totals.astype(np.float64)
    slope, intercept = _newton(z, n, n_true, 0.0)
    if slope < _LEAST_SLOPE:
        slope = _LEAST_SLOPE
        _, intercept = _newton(np.zeros_like(z), n, n_true, slope * z)
    return np.array([slope]), np.array([intercept])


def fit_isotonic(counts: ScoreCounts) -> Map | None:
    """Knots (P,), ascending, and their probabilities (P,); None if there is no true label.

    The step function of least weighted squares that never descends; its steps are joined by
    lines, and it is level beyond its ends. It is kept within Platt's targets, as `fit_platt` has
    them: a probability of 0 would make the loss of the first exception infinite.
    """
    if not counts.hits.any():
        return None
    fitted = isotonic_regression(counts.hits / counts.totals, weights=counts.totals)
    ends = np.unique(np.concatenate([fitted.blocks[:-1], fitted.blocks[1:] - 1]))
    high, low = _targets(counts)
    x, y = bucket_scores(counts.buckets)[ends], np.clip(fitted.x[ends], low, high)
    return x, y


def identity_map(method: str) -> Map:
    """The map that changes nothing."""
    if method == "platt":
        return np.ones(1), np.zeros(1)
    return np.array([0.0, 1.0]), np.array([0.0, 1.0])


def map_scores(method: str, fitted: Map, scores: Floats) -> Floats:
    """Probabilities of ``scores`` in [0, 1], any shape, by one map."""
    x, y = fitted
    if method == "isotonic":
        return np.interp(scores, x, y)
    within = np.clip(scores, _LEAST, 1 - _LEAST)
    found: Floats = expit(x[0] * logit(within) + y[0])
    return found


def apply_calibration(calibration: Calibration, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities (B, E) of ``scores`` (B, E), a column an entity of ``calibration``.

    Raises
    ------
    ValueError
        If there are not as many columns as entities.
    """
    n_entities = len(calibration.entities)
    if scores.ndim != 2 or scores.shape[1] != n_entities:
        raise ValueError(f"scores must be (B, {n_entities}), got {scores.shape}")
    if calibration.method == "platt":
        within = np.clip(scores.astype(np.float64), _LEAST, 1 - _LEAST)
        slopes, intercepts = calibration.x[calibration.maps], calibration.y[calibration.maps]
        return expit(logit(within) * slopes + intercepts).astype(np.float32)
    found = np.empty(scores.shape, dtype=np.float32)
    for column, m in enumerate(calibration.maps.tolist()):
        part = slice(calibration.offsets[m], calibration.offsets[m + 1])
        found[:, column] = np.interp(scores[:, column], calibration.x[part], calibration.y[part])
    return found


def _targets(counts: ScoreCounts) -> tuple[float, float]:
    """Platt's targets of a true label and of another."""
    n_true = int(counts.hits.sum())
    n_other = int(counts.totals.sum()) - n_true
    return (n_true + 1) / (n_true + 2), 1 / (n_other + 2)


def _newton(z: Floats, n: Floats, n_true: Floats, offset: Floats | float) -> tuple[float, float]:
    """Slope and intercept of the least sum of ``n log(1 + exp(t)) - n_true t``.

    Here t = slope z + intercept + offset. The sum is convex, but flat where scores are all but 0 or
    1: Newton's step is damped (Levenberg, Marquardt) until it lowers the sum, or not taken.
    """

    def loss(at: Floats) -> float:
        t = at[0] * z + at[1] + offset
        return float(n @ np.logaddexp(0, t) - n_true @ t)

    # The better of scores as they are and of a constant, which is all there is to one bucket.
    starts = (np.array([1.0, 0.0]), np.array([0.0, logit(n_true.sum() / n.sum())]))
    at = min(starts, key=loss)
    value, damping = loss(at), _LEAST_DAMPING
    for _ in range(_MOST_STEPS):
        p = expit(at[0] * z + at[1] + offset)
        error, weight = n * p - n_true, n * p * (1 - p)
        gradient = np.array([error @ z, error.sum()])
        curvature = np.array([[weight @ (z * z), weight @ z], [weight @ z, weight.sum()]])
        while True:
            damped = curvature + damping * (1 + curvature.trace()) * np.eye(2)
            step = np.linalg.solve(damped, gradient)
            after = loss(at - step)
            if after < value or damping > _MOST_DAMPING:
                break
            damping *= 10
        if not value - after > 1e-13 * abs(value):
            break
        at, value = at - step, after
        damping = max(damping / 100, _LEAST_DAMPING)
    return float(at[0]), float(at[1])
