"""Mergeable first and second moments (for the PCA of paper §4.2.2).

Axes: V videos, D features.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments", "merge_all", "merge_moments", "moments_of"]

Floats = NDArray[np.float64]


class Moments(NamedTuple):
    """Count, mean and scatter of a set of rows; 8 D (D + 1) bytes."""

    n: int
    mean: Floats  # (D,)
    scatter: Floats  # (D, D), sum over rows of (x - mean)(x - mean)^T

    @property
    def covariance(self) -> Floats:
        """(D, D), divisor n."""
        return self.scatter / self.n


def moments_of(rows: NDArray[np.floating]) -> Moments:
    """Moments of ``rows`` (V, D), V >= 1, in float64.

    Rows are centred before they are squared: the squares of float32 values at mean 100 and
    standard deviation 0.01 hold nothing of the deviation.

    Raises
    ------
    ValueError
        If there are no rows, or a value is NaN or infinite: it would spread to every entry.
    """
    if rows.ndim != 2 or len(rows) == 0:
        raise ValueError(f"moments need rows of shape (V >= 1, D), got {rows.shape}")
    mean = rows.mean(axis=0, dtype=np.float64)
    if not np.isfinite(mean).all():
        raise ValueError(f"feature {int(np.argmin(np.isfinite(mean)))} holds NaN or infinity")
    centred = rows - mean  # float64
    return Moments(len(rows), mean, centred.T @ centred)


def merge_moments(a: Moments, b: Moments) -> Moments:
    """Moments of the rows of ``a`` and ``b`` together (Chan, Golub and LeVeque 1979).

    Raises
    ------
    ValueError
        If the widths D differ.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"cannot merge moments of widths {len(a.mean)} and {len(b.mean)}")
    n = a.n + b.n
    delta = b.mean - a.mean
    scatter = a.scatter + b.scatter
    scatter += np.outer(delta, delta * (a.n * b.n / n))
    return Moments(n, a.mean + delta * (b.n / n), scatter)


def merge_all(moments: Iterable[Moments]) -> Moments | None:
    """Merge in the order given; None if there are none."""
    merged: Moments | None = None
    for one in moments:
        merged = one if merged is None else merge_moments(merged, one)
    return merged
