"""Whether one model beats another on the same videos: paired intervals and a sign test.

Two evaluations on one set of videos share its luck: a video that is hard for one is hard for the
other. The interval of their difference, replicate by replicate of one bootstrap, is therefore much
narrower than their two intervals suggest, and is what a comparison should go by.

Axes: N replicates, E entities.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

__all__ = [
    "TIE_TOLERANCE",
    "Interval",
    "WinsAndLosses",
    "paired_interval",
    "sign_test",
    "wins_and_losses",
]

Floats = NDArray[np.float64]

# MLflow's tables keep ten decimal places: a figure read back from one is off by half the last.
TIE_TOLERANCE = 1e-9


class Interval(NamedTuple):
    """An interval of confidence."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside, so that the difference has a sign."""
        return self.low > 0 or self.high < 0


class WinsAndLosses(NamedTuple):
    """Entities on which a model is better than, equal to and worse than the baseline."""

    wins: int
    ties: int
    losses: int
    p_value: float  # of the sign test, two-sided


def paired_interval(
    replicates: Floats, baseline: Floats, difference: float, *, level: float = 0.95
) -> Interval | None:
    """Interval of ``difference`` from replicates of a metric that belong together row by row.

    Parameters
    ----------
    replicates, baseline : (N,) float64
        The metric of the model and of the baseline on the videos of each replicate.
    difference : float
        The metric of the model less that of the baseline, on all videos.
    level : float
        Confidence, in (0, 1).

    Returns
    -------
    Interval or None
        None if N < 2 / (1 - level), 40 at 95 %: no replicate would lie beyond the ends.

    Raises
    ------
    ValueError
        If the two have not the same length: their rows would belong to different videos.

    Notes
    -----
    Quantiles of the differences, moved so that their mean is ``difference``: average precision
    is biased upwards on replicates, which repeat videos, and what is left of it after taking
    differences should not move the interval. Replicates of NaN count for nothing.
    """
    if np.shape(replicates) != np.shape(baseline):
        raise ValueError(
            f"replicates must pair, got shapes {np.shape(replicates)} and {np.shape(baseline)}"
        )
    differences = np.asarray(replicates, np.float64) - np.asarray(baseline, np.float64)
    differences = differences[np.isfinite(differences)]
    # The rounding guards against 2 / (1 - 0.95) = 40.00000000000004.
    if len(differences) < round(2 / (1 - level), 6):
        return None
    tail = (1 - level) / 2
    ends = np.quantile(differences - differences.mean(), [tail, 1 - tail])
    low, high = (ends + difference).tolist()
    return Interval(low, high)


def sign_test(wins: int, losses: int) -> float:
    """Chance of a split at least as uneven as ``wins`` to ``losses`` if either were as likely.

    Two-sided and exact; ties belong to neither. 1 if there are no wins and no losses.

    Notes
    -----
    It takes entities for independent. Entities that go together (Game, Video game) win and lose
    together, so that the true chance is larger than what is returned.
    """
    if wins + losses == 0:
        return 1.0
    return float(binomtest(wins, wins + losses, 0.5).pvalue)


def wins_and_losses(
    figures: Floats, baseline: Floats, *, tolerance: float = TIE_TOLERANCE
) -> WinsAndLosses:
    """Count entities on which ``figures`` are above and below ``baseline``; more is better.

    Parameters
    ----------
    figures, baseline : (E,) float64
        A figure of each entity, average precision say; NaN where it is not known. Entities for
        which either is not known are left out.
    tolerance : float
        Differences up to it are ties.
    """
    differences = np.asarray(figures, np.float64) - np.asarray(baseline, np.float64)
    known = differences[np.isfinite(differences)]
    wins = int((known > tolerance).sum())
    losses = int((known < -tolerance).sum())
    return WinsAndLosses(wins, len(known) - wins - losses, losses, sign_test(wins, losses))
