"""The release's 8-bit code of frame features: 256 levels, evenly spaced (paper §3.3).

The paper codes with optimal, uneven levels, which `core.codebooks` fits; the released files hold
this code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BIAS",
    "LEVELS",
    "MIN_VALUE",
    "STEP",
    "UNBIASED_LEVELS",
    "dequantize",
    "quantize",
]

# The release codes [-2, 2] in 256 levels, 4/255 apart.
LIMIT = 2.0
STEP = 2 * LIMIT / 255

# Its reader adds 4/512, half of a step of 4/256, to the level that its writer rounded to. So what
# is read is 1/128 too high on average, and the squared error is four times that of the writer's
# own levels (1/128² + STEP²/12 against STEP²/12).
BIAS = 4 / 512
MIN_VALUE = BIAS - LIMIT

# Every value there is, so that decoding is a look-up.
LEVELS: NDArray[np.float32] = (np.arange(256) * STEP + MIN_VALUE).astype(np.float32)
UNBIASED_LEVELS: NDArray[np.float32] = (np.arange(256) * STEP - LIMIT).astype(np.float32)


def quantize(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """8-bit codes of ``values`` of any shape, as the release's writer makes them.

    ``round((clip(x, -2, 2) + 2) * 255 / 4)``, halves to the even code. Codes read from released
    files come back the same after `dequantize`, with either levels. Computed in float64: the
    release's writer has float32, and may give a value at a threshold the code beside.

    Raises
    ------
    ValueError
        If a value is NaN, which has no code.
    """
    if np.isnan(values).any():
        raise ValueError("values to quantize must not be NaN")
    within = np.clip(np.asarray(values, dtype=np.float64), -LIMIT, LIMIT)
    return np.rint((within + LIMIT) * (255 / (2 * LIMIT))).astype(np.uint8)


def dequantize(codes: NDArray[np.uint8], *, unbiased: bool = False) -> NDArray[np.float32]:
    """Values of 8-bit ``codes`` of any shape.

    Parameters
    ----------
    codes : uint8
    unbiased : bool
        False gives the release's reader, in [-1.9921875, 2.0078125]: what models trained on
        YouTube-8M have seen, `BIAS` = 1/128 above what was coded. True gives the levels that the
        writer rounds to, in [-2, 2], at most half a step from what was coded.

    Raises
    ------
    ValueError
        If ``codes`` are not uint8: floats would be truncated to indices, silently.
    """
    if codes.dtype != np.uint8:
        raise ValueError(f"codes must be uint8, got {codes.dtype}")
    return (UNBIASED_LEVELS if unbiased else LEVELS)[codes]
