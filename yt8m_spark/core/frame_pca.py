"""PCA of frame features: the release's 2,048 ReLU activations to 1,024 and back (paper §3.3).

Axes: F frames, M activations before the PCA, D components after it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.eigenpairs import Eigenpairs, dense_eigenpairs
from yt8m_spark.core.levels import LevelTable
from yt8m_spark.core.moments import Moments
from yt8m_spark.core.quantization import LEVELS, quantize
from yt8m_spark.core.scratch import scratch_array

__all__ = [
    "FrameCoder",
    "FramePca",
    "ReluSpace",
    "apply_frame_pca",
    "fit_frame_pca",
    "invert_frame_pca",
]

# Frames that are centred, multiplied and coded at once, so that they stay in the cache.
_FRAMES_AT_ONCE = 512


class FramePca(NamedTuple):
    """A frame transform, M inputs to D components (§3.3)."""

    mean: NDArray[np.float32]  # (M,)
    components: NDArray[np.float32]  # (D, M), orthonormal rows
    scale: NDArray[np.float32]  # (D,), what a whitened component was divided by


def fit_frame_pca(moments: Moments, n_components: int) -> Eigenpairs:
    """Components of the frames that ``moments`` hold, for the files of `read_frame_pca`.

    Paper: §3.3, "PCA (+ whitening)" over the frames of the training videos.

    Parameters
    ----------
    moments : Moments
        Of all frames, M wide.
    n_components : int
        D, 1 to M; the paper keeps 1,024 of 2,048.

    Raises
    ------
    ValueError
        If ``n_components`` is out of range or the frames do not vary.
    """
    width = len(moments.mean)
    if not 1 <= n_components <= width:
        raise ValueError(f"n_components must be 1 to {width}, got {n_components}")
    if not np.trace(moments.scatter) > 0:
        raise ValueError(f"activations do not vary over {moments.n} frames; nothing to project")
    return dense_eigenpairs(moments, n_components)


def apply_frame_pca(frames: NDArray[np.floating], pca: FramePca) -> NDArray[np.float32]:
    """Whitened components (F, D) of activations ``frames`` (F, M): ((f - mean) · V) / scale.

    Raises
    ------
    ValueError
        If the PCA has another M.
    """
    _check_width(frames, len(pca.mean), "frames")
    centred = np.asarray(frames, dtype=np.float64) - pca.mean
    return ((centred @ np.asarray(pca.components.T, np.float64)) / pca.scale).astype(np.float32)


def invert_frame_pca(components: NDArray[np.floating], pca: FramePca) -> NDArray[np.float32]:
    """Activations (F, M) nearest to those that have the whitened ``components`` (F, D).

    What the lost components held stays lost; so activations may come out a little below 0.

    Raises
    ------
    ValueError
        If the PCA has another D.
    """
    _check_width(components, len(pca.components), "components")
    unscaled = np.asarray(components, dtype=np.float64) * pca.scale
    return (unscaled @ np.asarray(pca.components, np.float64) + pca.mean).astype(np.float32)


class FrameCoder:
    """From ReLU activations to 8-bit codes, as the release has them: one product, in float32.

    Paper: §3.3 (PCA and whitening, then one byte a coefficient).
    """

    def __init__(self, pca: FramePca) -> None:
        self._mean = np.asarray(pca.mean, np.float32)
        scaled = np.asarray(pca.components, np.float64) / np.asarray(pca.scale)[:, None]
        self._matrix = np.ascontiguousarray(scaled.T, dtype=np.float32)  # (M, D)

    @property
    def width(self) -> int:
        """D, the width of the codes."""
        return int(self._matrix.shape[1])

    @property
    def n_activations(self) -> int:
        """M, the width of what it codes."""
        return len(self._mean)

    def codes(self, frames: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Codes (F, D) of activations ``frames`` (F, M).

        Raises
        ------
        ValueError
            If the PCA has another M.
        """
        _check_width(frames, self.n_activations, "frames")
        codes = np.empty((len(frames), self.width), np.uint8)
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            some = frames[start : start + _FRAMES_AT_ONCE]
            centred = scratch_array("frame_pca.centred", some.shape, np.float32)
            np.subtract(some, self._mean, out=centred)
            codes[start : start + len(some)] = quantize(centred @ self._matrix)
        return codes


class ReluSpace:
    """From 8-bit codes to the ReLU activations they stand for, as one matrix product.

    Paper: §4.2.2 and §5.2 take statistics of these: invert the code, then whitening and PCA.
    Activations are at least 0, so what the lost components leave below is cut off.

    Parameters
    ----------
    pca : FramePca
    levels : (256,) or (D, 256) float
        Value of each code, for all features or for each.

    Raises
    ------
    ValueError
        If ``levels`` fit neither shape.
    """

    def __init__(self, pca: FramePca, levels: NDArray[np.floating] = LEVELS) -> None:
        self.table = LevelTable(levels, len(pca.components))
        matrix = np.asarray(pca.components, np.float64) * np.asarray(pca.scale)[:, None]
        offset = np.asarray(pca.mean, np.float64)
        if even := self.table.even:
            # Evenly spaced levels are folded into the matrix. Codes are taken from -128 to 127,
            # so that products are small and float32 loses nothing to cancellation.
            offset = offset + np.full(len(matrix), even.low + 128 * even.step) @ matrix
            matrix *= even.step
        self.matrix = matrix.astype(np.float32)  # (D, M)
        self.offset = offset.astype(np.float32)  # (M,)

    @property
    def width(self) -> int:
        """D, the width of the codes."""
        return len(self.matrix)

    def activations(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """ReLU activations (F, M) of ``codes`` (F, D).

        Raises
        ------
        ValueError
            If the PCA has another D.
        """
        _check_width(codes, self.width, "codes")
        if self.table.even is None:
            values = self.table.values(codes)
        else:
            values = (codes ^ np.uint8(128)).view(np.int8).astype(np.float32)
        activations = values @ self.matrix
        activations += self.offset
        np.maximum(activations, 0, out=activations)
        return activations


def _check_width(rows: NDArray[np.generic], width: int, name: str) -> None:
    if rows.ndim != 2 or rows.shape[1] != width:
        raise ValueError(f"{name} must be (F, {width}), got {rows.shape}")
