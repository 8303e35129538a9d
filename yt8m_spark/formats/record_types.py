"""What a YouTube-8M record holds, as arrays.

Axes: F frames, D features, L labels, S segments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "KEYS",
    "SEGMENT_KEYS",
    "Floats",
    "FrameRecord",
    "Ints",
    "Keys",
    "Segments",
    "VideoRecord",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class Keys(NamedTuple):
    """Under which names a record keeps its id and its labels."""

    ids: tuple[str, ...] = ("id", "video_id")  # 2018 and later; 2016-17 and AudioSet
    labels: str = "labels"


KEYS = Keys()

# Names of the arrays of `Segments`, in their order.
SEGMENT_KEYS = (
    "segment_start_times",
    "segment_end_times",
    "segment_labels",
    "segment_scores",
)


class VideoRecord(NamedTuple):
    """A video-level record."""

    video_id: str
    labels: Ints  # (L,) entity ids
    features: dict[str, Floats]  # (D,) each, by name: mean_rgb, mean_audio


class Segments(NamedTuple):
    """Rated segments of a video (2019); an array that the record lacks is empty."""

    start_times: Ints  # (S,) seconds
    end_times: Ints  # (S,) seconds
    labels: Ints  # (S,) entity ids
    scores: Floats  # (S,) 1 where raters saw the entity, else 0


class FrameRecord(NamedTuple):
    """A frame-level record."""

    video_id: str
    labels: Ints  # (L,) entity ids
    features: dict[str, NDArray[np.uint8]]  # (F, D) each, by name: rgb, audio; (0, 0) if no frame
    segments: Segments | None
    n_frames: int | None = None  # of the longest list, decoded or not; None: nobody counted
