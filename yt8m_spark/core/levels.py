"""Values of 8-bit codes: one table for all features, or one for each (paper §3.3).

Axes: D features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.scratch import scratch_array

__all__ = ["EvenCode", "LevelTable"]

# Evenly spaced levels that were stored as float32 are even to a few units in the last place.
_EVEN = 1e-6


class EvenCode(NamedTuple):
    """Evenly spaced levels: value = low + step * code."""

    step: float
    low: float


class LevelTable:
    """The values that the codes of D features stand for.

    Parameters
    ----------
    levels : (256,), (1, 256) or (D, 256) float
        Value of each code; they never fall from one code to the next, so that the order of codes
        is the order of their values.
    n_features : int
        D.

    Attributes
    ----------
    even : EvenCode or None
        The code in short, where the levels are evenly spaced and the same for all features.

    Raises
    ------
    ValueError
        If the shape is another, or a level is not finite or below the one before it.
    """

    def __init__(self, levels: NDArray[np.floating], n_features: int) -> None:
        table = np.atleast_2d(np.asarray(levels))
        if table.ndim != 2 or table.shape[1] != 256 or len(table) not in (1, n_features):
            expected = f"(256,) or ({n_features}, 256)"
            raise ValueError(f"levels must be {expected}, got {np.shape(levels)}")
        if not np.isfinite(table).all() or (np.diff(table, axis=1) < 0).any():
            raise ValueError("levels must be finite and never fall from one code to the next")
        self._stored = np.ascontiguousarray(table, dtype=np.float32)
        self._exact = np.ascontiguousarray(table, dtype=np.float64)
        self.even = _even_code(self._exact)

    def values(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Values of ``codes`` (..., D) in float32; the next call overwrites them."""
        out = scratch_array("levels.values", codes.shape, np.float32)
        return self._stored.take(self._places(codes), out=out, mode="clip")

    def exact_values(self, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Values of ``codes`` (..., D) in float64."""
        return self._exact.take(self._places(codes), mode="clip")

    def _places(self, codes: NDArray[np.uint8]) -> NDArray[np.integer]:
        """Where each code's value lies in the flat table.

        No place is out of range, so `take` may clip, which is its fastest way.
        """
        if len(self._stored) == 1:
            return codes
        return codes + np.arange(0, self._stored.size, 256)


def _even_code(table: NDArray[np.float64]) -> EvenCode | None:
    low = table[0, 0]
    step = (table[0, -1] - low) / 255
    off = np.abs(table - (low + step * np.arange(256))).max()
    return EvenCode(float(step), float(low)) if off <= _EVEN * np.abs(table).max() else None
