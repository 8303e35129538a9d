"""Runs of whole videos that are worked on at once, so that memory is bounded.

Axes: V videos.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["video_runs"]


def video_runs(
    offsets: NDArray[np.int64], n_frames: int, n_videos: int | None = None
) -> Iterator[tuple[int, int]]:
    """Runs of videos, first and one past the last, in order; together all V.

    Parameters
    ----------
    offsets : (V + 1,) int64
        Video v has the frames ``offsets[v]`` to ``offsets[v + 1]``.
    n_frames, n_videos : int
        The most that a run has; a longer video is a run by itself. Default: any number of videos.
    """
    first = 0
    while first < len(offsets) - 1:
        fits = int(np.searchsorted(offsets, offsets[first] + n_frames, side="right")) - 1
        if n_videos is not None:
            fits = min(fits, first + n_videos)
        last = max(first + 1, fits)
        yield first, last
        first = last
