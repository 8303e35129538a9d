"""Mean, standard deviation and third central moment over frames (paper §4.2.2, Eq. 2).

Axes: V videos, F frames, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.frame_blocks import FrameBlock
from yt8m_spark.core.levels import EvenCode
from yt8m_spark.core.scratch import scratch_array

__all__ = ["MOMENTS", "code_moments", "power_sums", "value_moments"]

Floats = NDArray[np.float64]
Values = NDArray[np.float32] | NDArray[np.float64]

# The power of the deviation that each needs.
MOMENTS = {"mean": 1, "std": 2, "moment3": 3}

# Sums of up to 257 squares of bytes are integers below 2^24, exact in float32 in any order.
_EXACT_ROWS = (2**24 - 1) // 255**2


def power_sums(block: FrameBlock[np.uint8], highest: int) -> list[Floats]:
    """Sums over frames of the codes, their squares and cubes, up to power ``highest`` <= 3.

    Each is (V, D), of whole numbers, exact. Rows below a video that is shorter than its block
    are overwritten.
    """
    block.fill(0)
    columns = block.columns
    sums = [np.zeros(columns.shape[1]) for _ in range(highest)]
    # Cubes outgrow float32, but not float64.
    dtype: type[Any] = np.float32 if highest < 3 else np.float64
    for start in range(0, len(columns) if sums else 0, _EXACT_ROWS):
        chunk = columns[start : start + _EXACT_ROWS]
        codes = scratch_array("frame_moments.codes", chunk.shape, dtype)
        powers = scratch_array("frame_moments.powers", chunk.shape, dtype) if highest > 2 else codes
        np.copyto(codes, chunk)
        ones = np.ones(len(chunk), dtype)
        # A product with ones is the fastest sum over rows that NumPy has.
        sums[0] += ones @ codes
        for i in range(1, highest):
            np.multiply(codes if i == 1 else powers, codes, out=powers)
            sums[i] += ones @ powers
    return [total.reshape(block.rows.shape[1:]) for total in sums]


def code_moments(
    sums: Sequence[Floats], lengths: NDArray[np.int64], names: Sequence[str], code: EvenCode
) -> dict[str, Floats]:
    """Moments of the values of codes, each (V, D), from the `power_sums` of their frames.

    Parameters
    ----------
    sums : sequence of (V, D)
        As many as the highest of the moments needs.
    lengths : (V,) int64
        Frames of each video, at least 1.
    names : sequence of str
        Of `MOMENTS`.
    code : EvenCode
        What the codes stand for.

    Notes
    -----
    The deviation from the mean is taken of exact integers (below 2^53 up to 370,000 frames), so
    nothing is lost by not centring before squaring.
    """
    n = lengths[:, None].astype(np.float64)
    ways: dict[str, Callable[[], Floats]] = {
        "mean": lambda: sums[0] * (code.step / n) + code.low,
        "std": lambda: np.sqrt(n * sums[1] - sums[0] ** 2) * (code.step / n),
        "moment3": lambda: _third(n, sums) * code.step**3,
    }
    return {name: ways[name]() for name in names}


def value_moments(
    block: FrameBlock[np.float32] | FrameBlock[np.float64], names: Sequence[str]
) -> dict[str, Floats]:
    """Moments of values, each (V, D): centred, then squared, summed in float64.

    Rows below a video that is shorter than its block are overwritten.
    """
    if not names:
        return {}
    n = block.lengths[:, None]
    block.fill(0)
    found = {"mean": block.rows.sum(axis=0, dtype=np.float64) / n}
    if set(names) != {"mean"}:
        deviations = FrameBlock(block.rows - found["mean"], block.lengths)  # float64
        deviations.fill(0)
        squares = deviations.rows**2
        found["std"] = np.sqrt(squares.sum(axis=0) / n)
        if "moment3" in names:
            squares *= deviations.rows
            found["moment3"] = squares.sum(axis=0) / n
    return {name: found[name] for name in names}


def _third(n: Floats, powers: Sequence[Floats]) -> Floats:
    """Third central moment of codes, from the sums of their powers.

    Shifted by the whole number nearest the mean, still in exact integers, so that what is left to
    round is of the size of the result.
    """
    total, squares, cubes = powers
    shift = np.rint(total / n)
    mean = (total - shift * n) / n
    second = (squares - 2 * shift * total + shift**2 * n) / n
    third = (cubes - 3 * shift * squares + 3 * shift**2 * total - shift**3 * n) / n
    return np.asarray(third - 3 * mean * second + 2 * mean**3)
