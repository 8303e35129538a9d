"""How far human raters agree, and what they say of labels and models (paper §3.5, §5.2.1).

Axes: P pairs of a video and an entity that were rated, M models.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, kendalltau, spearmanr

__all__ = ["Agreement", "Share", "agreement", "order_agreement", "share"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Agreement(NamedTuple):
    """Agreement between raters."""

    percent: float  # share of pairs of ratings of one thing that agree, as a fraction in [0, 1]
    kappa: float  # Fleiss'; 1 for perfect agreement, 0 for that of chance; NaN if not defined
    n_pairs: int  # pairs of video and entity that two raters or more have rated


class Share(NamedTuple):
    """A share of counted things, with its interval."""

    value: float  # NaN of nothing
    low: float
    high: float


def agreement(n_yes: Ints, n_ratings: Ints, counts: Ints) -> Agreement:
    """Percent agreement and Fleiss' kappa of yes/no ratings.

    With y_i yes and n_i ratings of pair i, over the pairs with n_i >= 2::

        P_i   = (y_i (y_i - 1) + (n_i - y_i)(n_i - y_i - 1)) / (n_i (n_i - 1))
        q     = sum y_i / sum n_i
        kappa = (mean P_i - P_e) / (1 - P_e),   P_e = q^2 + (1 - q)^2

    Parameters
    ----------
    n_yes, n_ratings : (G,) int64
        Yes and all ratings of a group of pairs with equal counts.
    counts : (G,) int64
        How many pairs the group has: a data set of millions has a dozen groups.

    Raises
    ------
    ValueError
        If a group has more yes than ratings, or fewer than none.

    Notes
    -----
    This is Fleiss (1971) where all pairs have equally many ratings. For unequal numbers, as his
    formula does not say it, each pair weighs the same in mean P_i and each rating the same in q. A
    pair rated once can neither agree nor differ and is left out of both. Where all say the same,
    chance agrees perfectly too, and kappa is NaN.
    """
    if ((n_yes < 0) | (n_yes > n_ratings)).any():
        raise ValueError("yes ratings must be between 0 and all ratings of a pair")
    rated = n_ratings >= 2
    yes, n, weights = n_yes[rated], n_ratings[rated], counts[rated]
    n_pairs = int(weights.sum())
    if not n_pairs:
        return Agreement(math.nan, math.nan, 0)
    no = n - yes
    agreeing = (yes * (yes - 1) + no * (no - 1)) / (n * (n - 1))
    percent = float((agreeing * weights).sum() / n_pairs)
    q = float((yes * weights).sum() / (n * weights).sum())
    by_chance = q**2 + (1 - q) ** 2
    kappa = math.nan if by_chance == 1 else (percent - by_chance) / (1 - by_chance)
    return Agreement(percent, kappa, n_pairs)


def share(part: int, whole: int, level: float = 0.95) -> Share:
    """``part`` of ``whole`` with Wilson's interval at ``level``.

    The interval takes what is counted as independent. Pairs of one video are not quite, so that
    intervals of precision and recall are somewhat too narrow where videos have many labels.

    Raises
    ------
    ValueError
        If ``part`` is not within 0 .. ``whole``.
    """
    if not whole:
        return Share(math.nan, math.nan, math.nan)
    interval = binomtest(part, whole).proportion_ci(level, method="wilson")
    return Share(part / whole, float(interval.low), float(interval.high))


def order_agreement(first: Floats, second: Floats) -> tuple[float, float]:
    """Spearman's rho and Kendall's tau (b) of two figures of the same models, each (M,).

    NaN for fewer than two models and where one of the figures is the same for all; of two models
    they are -1 or 1.
    """
    if len(first) < 2 or len(set(first.tolist())) == 1 or len(set(second.tolist())) == 1:
        return math.nan, math.nan
    return float(spearmanr(first, second).statistic), float(kendalltau(first, second).statistic)
