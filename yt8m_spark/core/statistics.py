"""Video-level statistics of frame features (paper §4.2.2, Eq. 2): mean, standard deviation, top 5.

Axes: F frames, D features, K = 5 ordinal statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.quantization import LEVELS, dequantize

__all__ = [
    "STATISTICS",
    "TOP_K",
    "FramePca",
    "frame_statistics",
    "quantized_statistics",
    "reconstruct_frames",
    "statistic_width",
]

Number = TypeVar("Number", bound=np.generic)

STATISTICS = ("mean", "std", "top5")
TOP_K = 5


class FramePca(NamedTuple):
    """The release's own frame transform, M inputs to D components (§3.3)."""

    mean: NDArray[np.float32]  # (M,)
    components: NDArray[np.float32]  # (D, M), orthonormal rows
    scale: NDArray[np.float32]  # (D,), what a whitened component was divided by


def statistic_width(statistic: str, n_features: int) -> int:
    """Length of ``statistic`` of D features: D, or 5 D for "top5"."""
    _check_statistics([statistic])
    return n_features * (TOP_K if statistic == "top5" else 1)


def frame_statistics(
    frames: NDArray[np.floating], statistics: Sequence[str] = STATISTICS
) -> dict[str, NDArray[np.float32]]:
    """Statistics of one video's frames (Eq. 2).

    Parameters
    ----------
    frames : (F, D) float
        F >= 1 frames.
    statistics : sequence of str
        Of `STATISTICS`.

    Returns
    -------
    dict of float32 arrays
        ``mean`` (D,); ``std`` (D,), divisor F; ``top5`` (5 D,), rank-major: the largest value of
        every feature, then the second of every feature, and so on.

    Raises
    ------
    ValueError
        If there are no frames or an unknown statistic is asked for.

    Notes
    -----
    The paper gives no divisor and no rule for fewer than 5 frames; we divide by F and repeat
    the smallest value there is.
    """
    _check_statistics(statistics)
    _check_frames(frames)
    out = {}
    if "mean" in statistics:
        out["mean"] = frames.mean(axis=0, dtype=np.float64).astype(np.float32)
    if "std" in statistics:
        out["std"] = frames.astype(np.float64).std(axis=0).astype(np.float32)
    if "top5" in statistics:
        out["top5"] = _largest(frames).astype(np.float32).ravel()
    return {name: out[name] for name in statistics}


def quantized_statistics(
    codes: NDArray[np.uint8], statistics: Sequence[str] = STATISTICS
) -> dict[str, NDArray[np.float32]]:
    """`frame_statistics` of the dequantized ``codes`` (F, D), without dequantizing them.

    The code is affine and rising, so mean and standard deviation follow from exact integer sums
    and the largest values from the largest codes.
    """
    _check_statistics(statistics)
    _check_frames(codes)
    n_frames = len(codes)
    step, low = np.float64(LEVELS[255] - LEVELS[0]) / 255, np.float64(LEVELS[0])
    out = {}
    total = codes.sum(axis=0, dtype=np.int64)
    if "mean" in statistics:
        out["mean"] = (total / n_frames * step + low).astype(np.float32)
    if "std" in statistics:
        # n² times the variance, in integers: exact, so nothing is lost by not centring.
        squares = (codes.astype(np.uint32) ** 2).sum(axis=0, dtype=np.int64)
        spread = n_frames * squares - total * total
        out["std"] = (np.sqrt(spread) / n_frames * step).astype(np.float32)
    if "top5" in statistics:
        out["top5"] = dequantize(_largest(codes)).ravel()
    return {name: out[name] for name in statistics}


def reconstruct_frames(codes: NDArray[np.uint8], pca: FramePca) -> NDArray[np.float32]:
    """ReLU activations (F, M) that ``codes`` (F, D) stand for: invert the code, then the PCA.

    Paper: §4.2.2 and §5.2 take the statistics of these, not of the codes. Activations are at
    least 0, so what the lost components leave below is cut off.

    Raises
    ------
    ValueError
        If the PCA has another D.
    """
    if codes.ndim != 2 or codes.shape[1] != len(pca.components):
        raise ValueError(f"codes must be (F, {len(pca.components)}), got {codes.shape}")
    frames = (dequantize(codes) * pca.scale) @ pca.components + pca.mean
    return np.asarray(np.maximum(frames, 0), dtype=np.float32)


def _largest(values: NDArray[Number]) -> NDArray[Number]:
    """The 5 largest of each column of ``values`` (F, D), largest first, (5, D)."""
    n_frames = len(values)
    if n_frames > TOP_K:
        values = np.partition(values, n_frames - TOP_K, axis=0)[-TOP_K:]
    ranked = np.sort(values, axis=0)[::-1]
    repeat = np.minimum(np.arange(TOP_K), len(ranked) - 1)
    return ranked[repeat]


def _check_statistics(statistics: Sequence[str]) -> None:
    unknown = [name for name in statistics if name not in STATISTICS]
    if unknown or not statistics:
        raise ValueError(f"statistics must be of {', '.join(STATISTICS)}, got {unknown or 'none'}")


def _check_frames(frames: NDArray[np.generic]) -> None:
    if frames.ndim != 2 or frames.size == 0:
        raise ValueError(f"frames must be (F >= 1, D >= 1), got {frames.shape}")
