"""Video-level statistics of frame features (paper §4.2.2, Eq. 2): mean, standard deviation, top K.

All functions take the frames of many videos, one video after the other.

Axes: V videos, N frames of all videos, D features, M activations, K ordinal statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.frame_blocks import FrameBlock, check_frames, shelves
from yt8m_spark.core.frame_moments import MOMENTS, code_moments, power_sums, value_moments
from yt8m_spark.core.frame_pca import FramePca, ReluSpace
from yt8m_spark.core.levels import LevelTable
from yt8m_spark.core.order_statistics import OrderStatistics
from yt8m_spark.core.quantization import LEVELS
from yt8m_spark.core.statistic_names import (
    STATISTICS,
    check_statistics,
    n_ranks,
    statistic_width,
)
from yt8m_spark.core.video_runs import video_runs

__all__ = [
    "STATISTICS",
    "FramePca",
    "ReluSpace",
    "check_statistics",
    "quantized_statistics",
    "relu_statistics",
    "statistic_width",
    "value_statistics",
]

Number = TypeVar("Number", np.uint8, np.float32, np.float64)
Ints = NDArray[np.int64]
Statistics = dict[str, NDArray[np.float32]]

# Frames whose activations are in memory at once, unless one video has more: 16 MiB at M = 2,048.
_FRAMES_AT_ONCE = 2048


def quantized_statistics(
    codes: NDArray[np.uint8],
    offsets: Ints,
    statistics: Sequence[str] = STATISTICS,
    levels: NDArray[np.floating] = LEVELS,
) -> Statistics:
    """Statistics of the frames that ``codes`` stand for (Eq. 2), without dequantizing them.

    Parameters
    ----------
    codes : (N, D) uint8
        Frames of all videos, one video after the other.
    offsets : (V + 1,) int64
        Video v has the frames ``offsets[v]`` to ``offsets[v + 1]``.
    statistics : sequence of str
        See `check_statistics`.
    levels : (256,) or (D, 256) float
        Value of each code, for all features or for each; never falling.

    Returns
    -------
    dict of (V, width) float32
        In the order asked for. ``mean``, ``std`` (divisor F), ``moment3`` (third central moment,
        divisor F), ``min``, ``max`` are D wide; ``top<K>`` is K·D, rank-major: the largest value
        of every feature, then the second of every feature, and so on. A video of no frames has
        NaN everywhere, which the caller turns into nulls.

    Raises
    ------
    ValueError
        If codes are not (N, D) uint8, offsets do not rise from 0 to N, levels do not fit, or a
        statistic is unknown.

    Notes
    -----
    The paper gives no divisor and no rule for fewer than K frames; we divide by F and repeat the
    smallest value there is. Codes are in the order of their values, so order statistics are
    taken of the bytes; where levels are evenly spaced, moments follow from exact integer sums.
    """
    check_statistics(statistics)
    if codes.dtype != np.uint8:
        raise ValueError(f"codes must be uint8, got {codes.dtype}")
    check_frames(codes, offsets)
    table = LevelTable(levels, codes.shape[1])
    moments = [name for name in statistics if name in MOMENTS]
    highest = max((MOMENTS[name] for name in moments), default=0) if table.even else 0
    out = _no_statistics(len(offsets) - 1, codes.shape[1], statistics)
    for shelf in shelves(codes, offsets):
        order = OrderStatistics(shelf, statistics)
        sums = []
        for block in shelf.blocks:  # both at once, while the block is in the cache
            order.add(block)
            sums.append(power_sums(block, highest))
        for name, ranked in order.result().items():
            _rows(out[name], ranked)[shelf.videos] = table.values(ranked).swapaxes(0, 1)
        found = {}
        if table.even:
            whole = [np.concatenate(parts) for parts in zip(*sums, strict=True)]
            found = code_moments(whole, shelf.lengths, moments, table.even)
        elif moments:
            exact = (FrameBlock(table.exact_values(b.rows), b.lengths) for b in shelf.blocks)
            found = _joined([value_moments(block, moments) for block in exact])
        _put(found, out, shelf.videos)
    return out


def relu_statistics(
    codes: NDArray[np.uint8],
    offsets: Ints,
    statistics: Sequence[str],
    space: ReluSpace,
) -> Statistics:
    """Statistics of the ReLU activations that ``codes`` stand for (§4.2.2, §5.2).

    Parameters and result are those of `quantized_statistics`, with M for the D of the result;
    ``space`` holds the PCA and the levels of the code. Memory is that of 2,048 frames, or of the
    longest video.

    Raises
    ------
    ValueError
        As `quantized_statistics`, and if the PCA has another D.
    """
    check_statistics(statistics)
    check_frames(codes, offsets)
    out = _no_statistics(len(offsets) - 1, len(space.offset), statistics)
    for first, last in video_runs(offsets, _FRAMES_AT_ONCE):
        start, stop = offsets[first], offsets[last]
        activations = space.activations(codes[start:stop])
        part = value_statistics(activations, offsets[first : last + 1] - start, statistics)
        for name, values in part.items():
            out[name][first:last] = values
    return out


def value_statistics(
    values: NDArray[np.float32],
    offsets: Ints,
    statistics: Sequence[str] = STATISTICS,
) -> Statistics:
    """Statistics of frames that are no codes: ``values`` (N, D) float32.

    Parameters and result else are those of `quantized_statistics`.

    Raises
    ------
    ValueError
        If values are not (N, D) float32, offsets do not rise from 0 to N, or a statistic is
        unknown.
    """
    check_statistics(statistics)
    if values.dtype != np.float32:
        raise ValueError(f"values must be float32, got {values.dtype}")
    check_frames(values, offsets)
    moments = [name for name in statistics if name in MOMENTS]
    out = _no_statistics(len(offsets) - 1, values.shape[1], statistics)
    for shelf in shelves(values, offsets):
        order = OrderStatistics(shelf, statistics)
        found = []
        for block in shelf.blocks:
            order.add(block)
            found.append(value_moments(block, moments))
        for name, ranked in order.result().items():
            _rows(out[name], ranked)[shelf.videos] = ranked.swapaxes(0, 1)
        _put(_joined(found), out, shelf.videos)
    return out


def _joined(found: Sequence[dict[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    """Moments of the blocks of a shelf one below the other."""
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _put(found: dict[str, NDArray[np.float64]], out: Statistics, videos: Ints) -> None:
    for name, values in found.items():
        out[name][videos] = values


def _rows(statistic: NDArray[np.float32], ranked: NDArray[Number]) -> NDArray[np.float32]:
    """View of ``statistic`` (all videos, K·D) as (all videos, K, D), for ``ranked`` (K, V, D)."""
    return statistic.reshape(len(statistic), len(ranked), -1)


def _no_statistics(n_videos: int, n_features: int, statistics: Sequence[str]) -> Statistics:
    """Statistics of videos without frames."""
    return {
        name: np.full((n_videos, n_ranks(name) * n_features), np.nan, np.float32)
        for name in statistics
    }
