"""Symmetric matrices of which one triangle is known or kept.

Axes: D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtpttr, dtrttp

__all__ = ["mirror", "pack", "unpack"]

# Columns of a strip when a triangle is worked on: above it nothing is touched.
_STRIP = 256


def mirror(square: NDArray[np.floating]) -> None:
    """Copy the lower triangle of ``square`` (D, D) to the upper one."""
    for start in range(0, len(square), _STRIP):
        stop = start + _STRIP
        corner = square[start:stop, start:stop]
        corner[:] = np.tril(corner) + np.tril(corner, -1).T
        square[start:stop, stop:] = square[stop:, start:stop].T


def pack(square: NDArray[np.float64]) -> NDArray[np.float64]:
    """One triangle, D (D + 1) / 2 numbers, of the symmetric ``square`` (D, D)."""
    if not square.size:
        return np.zeros(0)
    packed, _ = dtrttp(square.T, uplo="L")  # the transposed view is what Fortran has no copy for
    return np.asarray(packed)


def unpack(packed: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The symmetric matrix (D, D), D = ``width``, that `pack` took the triangle of."""
    if not width:
        return np.zeros((0, 0))
    square, _ = dtpttr(width, packed, uplo="L")
    mirror(square)
    return np.asarray(square.T)
