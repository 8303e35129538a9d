"""Videos of different length side by side in one array, for networks that take many at once.

Axes: V videos, B videos of a group, F frames of its longest video, D features of a frame, all its
lists side by side.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.frame_sampling import FrameLists

__all__ = ["length_groups", "padded_codes"]

Ints = NDArray[np.int64]


def length_groups(counts: Ints, frames_at_once: int) -> Iterator[Ints]:
    """Videos with frames, each in one group, in groups of about one length; longest first.

    Parameters
    ----------
    counts : (V,) int64
        Frames of each video; those without are in no group.
    frames_at_once : int
        Frames of a group, padding included; a longer video is a group of its own.

    Yields
    ------
    (B,) int64
        Places of videos in ``counts``.
    """
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    start = 0
    while start < len(order):
        longest = int(counts[order[start]])
        stop = start + max(1, frames_at_once // longest)
        yield order[start:stop]
        start = stop


def padded_codes(lists: FrameLists, videos: Ints) -> NDArray[np.uint8]:
    """Codes (B, F, D) of ``videos`` (B,), 0 behind the last frame of each."""
    counts = lists.counts[videos]
    rows = np.repeat(np.arange(len(videos)), counts)
    frames = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    widths = [codes.shape[1] for codes in lists.codes]
    out = np.zeros((len(videos), int(counts.max(initial=0)), sum(widths)), dtype=np.uint8)
    start = 0
    for codes, offsets, width in zip(lists.codes, lists.offsets, widths, strict=True):
        out[rows, frames, start : start + width] = codes[offsets[videos][rows] + frames]
        start += width
    return out
