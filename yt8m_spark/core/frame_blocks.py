"""Frames of many videos as blocks of columns, so that one NumPy call serves several videos.

A statistic over frames works on the columns of a (F, D) array. Videos of nearly one length are
laid side by side, (F, V, D): to NumPy they are one array of V·D columns. A long video is a block
by itself, without a copy; ten thousand clips of ten frames need a hundred calls, not ten thousand.

Axes: V videos, N frames of all videos, F frames of the longest video of a block, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrameBlock", "Shelf", "check_frames", "shelves"]

Number = TypeVar("Number", np.uint8, np.float32, np.float64)
Ints = NDArray[np.int64]

# A block and what is computed from it should stay in a core's cache of about 1 MiB.
_BLOCK_BYTES = 1 << 18
# Blocks of fewer columns share the last steps of a statistic, whose arrays are small.
_SHELF_COLUMNS = 1 << 13
# A video shorter than this share of its block's longest opens another block.
_LEAST_FILLED = 0.75


class FrameBlock(NamedTuple, Generic[Number]):
    """Videos side by side; rows below a shorter one repeat its last frame until `fill`."""

    rows: NDArray[Number]  # (F, V, D)
    lengths: Ints  # (V,) frames of each video, at least 1

    @property
    def columns(self) -> NDArray[Number]:
        """The rows as (F, V·D)."""
        return self.rows.reshape(len(self.rows), -1)

    def fill(self, value: float) -> None:
        """Put ``value`` below every video that is shorter than the block."""
        shortest = int(self.lengths.min())
        if shortest < len(self.rows):
            below = np.arange(shortest, len(self.rows))[:, None] >= self.lengths
            self.rows[shortest:][below] = value


class Shelf(NamedTuple, Generic[Number]):
    """A handful of blocks, which share the last steps of a statistic."""

    videos: Ints  # (V,) indices of the videos, in the order of the columns of the blocks
    lengths: Ints  # (V,) their frames
    blocks: list[FrameBlock[Number]]


def shelves(frames: NDArray[Number], offsets: Ints) -> Iterator[Shelf[Number]]:
    """All videos that have frames, a shelf at a time.

    Parameters
    ----------
    frames : (N, D)
        Frames of all videos, one video after the other.
    offsets : (V + 1,) int64
        Video v has the frames ``offsets[v]`` to ``offsets[v + 1]``.
    """
    lengths = np.diff(offsets)
    videos: list[Ints] = []
    n_columns = 0
    for group in _groups(lengths, frames.shape[1] * frames.itemsize):
        videos.append(group)
        n_columns += len(group) * frames.shape[1]
        if n_columns >= _SHELF_COLUMNS:
            yield _shelf(frames, offsets, videos)
            videos, n_columns = [], 0
    if videos:
        yield _shelf(frames, offsets, videos)


def check_frames(frames: NDArray[np.generic], offsets: Ints) -> None:
    """Refuse frames and offsets that do not fit: wrong ones would mix the frames of videos.

    Raises
    ------
    ValueError
        If ``frames`` are not (N, D >= 1), or ``offsets`` do not rise from 0 to N.
    """
    if frames.ndim != 2 or frames.shape[1] == 0:
        raise ValueError(f"frames must be (N, D >= 1), got {frames.shape}")
    rising = offsets.ndim == 1 and len(offsets) > 0 and bool((np.diff(offsets) >= 0).all())
    if not rising or offsets[0] != 0 or offsets[-1] != len(frames):
        ends = offsets[[0, -1]] if offsets.size else offsets
        raise ValueError(f"offsets must rise from 0 to {len(frames)}, got {offsets.shape} {ends}")


def _groups(lengths: Ints, frame_bytes: int) -> Iterator[Ints]:
    """Indices of the videos of each block, the longest first; none of videos without frames."""
    order = np.argsort(-lengths, kind="stable")
    sorted_lengths = lengths[order]
    n_videos = int(np.count_nonzero(lengths))
    start = 0
    while start < n_videos:
        longest = int(sorted_lengths[start])
        room = max(1, _BLOCK_BYTES // (longest * frame_bytes))
        near = np.searchsorted(-sorted_lengths, -_LEAST_FILLED * longest, side="right")
        stop = min(start + room, int(near), n_videos)
        yield order[start:stop]
        start = stop


def _shelf(frames: NDArray[Number], offsets: Ints, groups: list[Ints]) -> Shelf[Number]:
    videos = np.concatenate(groups)
    blocks = [_block(frames, offsets[group], offsets[group + 1]) for group in groups]
    return Shelf(videos, offsets[videos + 1] - offsets[videos], blocks)


def _block(frames: NDArray[Number], starts: Ints, stops: Ints) -> FrameBlock[Number]:
    """Videos from ``starts`` to ``stops`` side by side; one alone is a view."""
    lengths = stops - starts
    if len(starts) == 1:
        return FrameBlock(frames[starts[0] : stops[0], None], lengths)
    rows = np.minimum(starts + np.arange(lengths.max())[:, None], stops - 1)  # (F, V)
    return FrameBlock(frames[rows], lengths)
