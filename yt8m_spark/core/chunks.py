"""Training videos in memory, as the mini-batch loop takes them (paper §4.3).

Axes: V videos, D features, L labels of all videos together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chunk", "check_rows", "take_labels", "take_videos"]


class Chunk(NamedTuple):
    """Some training videos: what one shard holds."""

    features: NDArray[np.float32]  # (V, D)
    label_offsets: NDArray[np.int64]  # (V + 1,), labels of video v are values[o[v]:o[v + 1]]
    label_values: NDArray[np.int32]  # (L,), entity ids


def take_videos(chunk: Chunk, rows: NDArray[np.int64]) -> Chunk:
    """Videos ``rows`` of ``chunk``, in that order; one may come more than once.

    Parameters
    ----------
    chunk : Chunk
        V videos.
    rows : (N,) int64
        Each 0 to V - 1.

    Raises
    ------
    IndexError
        If a row is V or more, or below 0, which NumPy would count from the end.
    """
    check_rows(rows, len(chunk.features))
    offsets, values = take_labels(chunk.label_offsets, chunk.label_values, rows)
    return Chunk(chunk.features.take(rows, axis=0), offsets, values)


def take_labels(
    offsets: NDArray[np.int64], values: NDArray[np.int32], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Offsets (N + 1,) and values of the labels of videos ``rows`` (N,), in that order.

    Parameters
    ----------
    offsets : (V + 1,) int64
    values : (L,) int32
    rows : (N,) int64
        Each 0 to V - 1.
    """
    starts = offsets[rows]
    counts = offsets[rows + 1] - starts
    taken = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(counts, out=taken[1:])
    # Where a label comes from is where it goes to plus how far its video has moved.
    places = np.arange(taken[-1]) + np.repeat(starts - taken[:-1], counts)
    return taken, values[places]


def check_rows(rows: NDArray[np.int64], n_videos: int) -> None:
    """Refuse rows that are not 0 to ``n_videos`` - 1."""
    if rows.size and not 0 <= rows.min() <= rows.max() < n_videos:
        span = f"{rows.min()} to {rows.max()}"
        raise IndexError(f"rows must be 0 to {n_videos - 1}, got {span}")
