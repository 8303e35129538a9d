"""The 8-bit code of the released frame features (paper §3.3; the release's uniform code).

Axes: F frames, D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "MAX_VALUE", "MIN_VALUE", "STEP", "dequantize", "quantize"]

# The release codes [-2, 2] in 256 levels. Its own reader gives a code q the value
# q * 4/255 + (4/512 - 2), so that code 0 is -1.9921875 and code 255 is 2.0078125.
STEP = 4 / 255
MIN_VALUE = 4 / 512 - 2
MAX_VALUE = 255 * STEP + MIN_VALUE

# Every value there is, so that decoding is a look-up.
LEVELS: NDArray[np.float32] = (np.arange(256) * STEP + MIN_VALUE).astype(np.float32)


def dequantize(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Values of 8-bit ``codes`` of any shape, in [-1.9921875, 2.0078125].

    Raises
    ------
    ValueError
        If ``codes`` are not uint8: floats would be truncated to indices, silently.
    """
    if codes.dtype != np.uint8:
        raise ValueError(f"codes must be uint8, got {codes.dtype}")
    return LEVELS[codes]


def quantize(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Nearest 8-bit codes of ``values`` of any shape; values out of range take the end codes.

    Raises
    ------
    ValueError
        If a value is NaN, which has no nearest code.
    """
    if np.isnan(values).any():
        raise ValueError("values to quantize must not be NaN")
    codes = np.rint((np.asarray(values, dtype=np.float64) - MIN_VALUE) / STEP)
    return codes.clip(0, 255).astype(np.uint8)
