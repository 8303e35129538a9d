"""What a code costs: the errors between values and what is read back (paper §3.3).

Axes: V videos (or frames), D features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.codebooks import Codebook, decode, encode

__all__ = ["Distortion", "distortion_of", "merge_distortions"]

Floats = NDArray[np.float64]


class Distortion(NamedTuple):
    """Sums over the values of each feature; 40 D bytes and a count. Error is read - written."""

    n_videos: int
    signal: Floats  # (D,), sum of value²
    squared: Floats  # (D,), sum of error²
    signed: Floats  # (D,), sum of error
    largest: Floats  # (D,), greatest |error|
    n_clipped: NDArray[np.int64]  # (D,), values beyond the bounds of the code

    @property
    def mse(self) -> float:
        """Mean squared error of a value."""
        return float(self.squared.mean() / self.n_videos)

    @property
    def bias(self) -> float:
        """Mean error of a value."""
        return float(self.signed.mean() / self.n_videos)

    @property
    def largest_error(self) -> float:
        """Greatest absolute error."""
        return float(self.largest.max())

    @property
    def clipped(self) -> float:
        """Share of the values that lie beyond the bounds of the code, in [0, 1]."""
        return float(self.n_clipped.mean() / self.n_videos)

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio, 10 log10(mean value² / mean error²), in dB; inf without error."""
        noise = float(self.squared.sum())
        signal = float(self.signal.sum())
        if noise == 0:
            return float("inf")
        return float(10 * np.log10(signal / noise)) if signal else float("-inf")


def distortion_of(values: NDArray[np.float32], codebook: Codebook) -> Distortion:
    """Errors of coding ``values`` (V, D) with ``codebook`` and reading them back.

    Raises
    ------
    ValueError
        If there are no values, one is NaN, or the width is not the codebook's.
    """
    if values.size == 0:
        raise ValueError(f"distortion needs values of shape (V >= 1, D >= 1), got {values.shape}")
    written = values.astype(np.float64)
    error = decode(encode(values, codebook), codebook) - written
    low, high = codebook.bounds.T
    return Distortion(
        len(values),
        (written**2).sum(axis=0),
        (error**2).sum(axis=0),
        error.sum(axis=0),
        np.abs(error).max(axis=0),
        ((values < low) | (values > high)).sum(axis=0),
    )


def merge_distortions(a: Distortion, b: Distortion) -> Distortion:
    """Errors of the values of ``a`` and ``b`` together.

    Raises
    ------
    ValueError
        If the widths D differ.
    """
    if a.signal.shape != b.signal.shape:
        raise ValueError(f"cannot merge errors of widths {len(a.signal)} and {len(b.signal)}")
    return Distortion(
        a.n_videos + b.n_videos,
        a.signal + b.signal,
        a.squared + b.squared,
        a.signed + b.signed,
        np.maximum(a.largest, b.largest),
        a.n_clipped + b.n_clipped,
    )
