"""Codes of features by a table of levels: one byte a feature (paper §3.3).

Axes: V videos (or frames), D features, L levels.

A codebook is L levels and the L - 1 thresholds between their cells, for each feature or for all at
once. Levels never fall from one code to the next, so that codes are in the order of their values:
largest, median and top-k can be taken of the codes, and read afterwards. `core.lloyd_max` fits one.
"""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.quantization import LEVELS, LIMIT, STEP, UNBIASED_LEVELS

__all__ = ["MAX_LEVELS", "Codebook", "code_name", "decode", "encode", "linear_code"]

Floats = NDArray[np.float64]

MAX_LEVELS = 256  # one byte a feature


class Codebook:
    """A code of D features, or one that serves any number of them; 3 KiB for each at L = 256.

    Attributes
    ----------
    levels : (D or 1, L) float32
        What each code is read as. Where a feature took fewer than L values, the last one repeats.
    thresholds : (D or 1, L - 1) float64
        A value at or above threshold i has a code above i.
    bounds : (D or 1, 2) float32
        Range that the code was made for; values beyond take the end codes.
    """

    def __init__(
        self,
        levels: NDArray[np.float32],
        thresholds: NDArray[np.float64],
        bounds: NDArray[np.float32],
    ) -> None:
        self.levels = levels
        self.thresholds = thresholds
        self.bounds = bounds

    @property
    def n_levels(self) -> int:
        """L."""
        return int(self.levels.shape[1])

    @property
    def width(self) -> int | None:
        """D, or None if the code serves any width."""
        return None if len(self.levels) == 1 else len(self.levels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the arrays, to tell whether a table was written with this code."""
        state = hashlib.sha256()
        for array, dtype in ((self.levels, "<f4"), (self.thresholds, "<f8"), (self.bounds, "<f4")):
            state.update(np.ascontiguousarray(array, dtype=dtype).tobytes())
        return state.hexdigest()


def linear_code(*, unbiased: bool = False) -> Codebook:
    """The release's code as a codebook: `encode` and `decode` give `quantize` and `dequantize`.

    For float32 values; a float64 at a threshold itself may take the code beside.
    """
    levels = UNBIASED_LEVELS if unbiased else LEVELS
    thresholds = np.asarray((np.arange(MAX_LEVELS - 1) + 0.5) * STEP - LIMIT, np.float64)
    return Codebook(levels[None], thresholds[None], np.array([[-LIMIT, LIMIT]], np.float32))


def code_name(codebook: Codebook) -> str:
    """``released``, ``unbiased`` or, of any other code, ``lloyd_max``."""
    for name, unbiased in (("released", False), ("unbiased", True)):
        if codebook.digest == linear_code(unbiased=unbiased).digest:
            return name
    return "lloyd_max"


def encode(values: NDArray[np.floating], codebook: Codebook) -> NDArray[np.uint8]:
    """Codes of ``values`` (V, D), shape (V, D).

    Raises
    ------
    ValueError
        If the width is not the codebook's, or a value is NaN, which has no nearest level.
    """
    _check_width(values, codebook)
    if np.isnan(values).any():
        raise ValueError("values to encode must not be NaN")
    if codebook.width is None:
        return _codes_of(values, codebook.thresholds[0])
    codes = np.empty(values.shape[::-1], np.uint8)
    for feature, (column, thresholds) in enumerate(
        zip(np.ascontiguousarray(values.T), codebook.thresholds, strict=True)
    ):
        codes[feature] = _codes_of(column, thresholds)
    return np.ascontiguousarray(codes.T)


def decode(codes: NDArray[np.uint8], codebook: Codebook) -> NDArray[np.float32]:
    """Values of ``codes`` (V, D), shape (V, D).

    Raises
    ------
    ValueError
        If the width is not the codebook's, ``codes`` are not uint8, or one is L or more: it would
        be read as a level of the next feature.
    """
    _check_width(codes, codebook)
    if codes.dtype != np.uint8:
        raise ValueError(f"codes must be uint8, got {codes.dtype}")
    if codes.size and codes.max() >= codebook.n_levels:
        raise ValueError(f"codes must be below {codebook.n_levels}, got {codes.max()}")
    first = 0 if codebook.width is None else np.arange(codebook.width) * codebook.n_levels
    return np.asarray(codebook.levels.ravel()[codes + first])


def _codes_of(values: NDArray[np.floating], thresholds: Floats) -> NDArray[np.uint8]:
    return np.searchsorted(thresholds, values, side="right").astype(np.uint8)


def _check_width(rows: NDArray[np.generic], codebook: Codebook) -> None:
    if rows.ndim != 2 or codebook.width not in (None, rows.shape[1]):
        raise ValueError(f"rows must be (V, {codebook.width or 'D'}), got {rows.shape}")
