"""A video's score is the mean of the probabilities of its frames (paper §4.1.1, Eq. 1).

Axes: V videos, N frames of all videos, F frames of one video, E entities; e those of one block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.frame_sampling import FrameLists
from yt8m_spark.core.scoring import Scorer, score_videos

__all__ = ["score_frames"]

# Frames scored at once, of one long video or of many short ones: at E = 4,800, 10 MB of scores.
_FRAMES_AT_ONCE = 512


def score_frames(scorer: Scorer, lists: FrameLists, *, normalize: bool) -> NDArray[np.float32]:
    """Score of every video and entity, (V, E) in [0, 1]: p(e|v) = 1/F Σ_f p(e|x_f).

    Paper: Eq. 1, over all frames of a video, not a sample. A video without frames scores 0 for
    every entity (ours: there is no mean; nothing was seen, and the video stays in every metric).

    Memory does not grow with the length of a video: its frames are scored in pieces, which may
    hold the frames of several videos. Sums are kept in float64, 8 V E bytes.

    Raises
    ------
    ValueError
        If the width is not the model's.
    """
    counts = lists.counts
    ends = np.cumsum(counts)
    sums = np.zeros((len(counts), len(scorer.entities)), dtype=np.float64)
    n_frames = int(ends[-1]) if len(ends) else 0
    for start in range(0, n_frames, _FRAMES_AT_ONCE):
        places = np.arange(start, min(start + _FRAMES_AT_ONCE, n_frames))
        videos = np.searchsorted(ends, places, side="right")  # passes over videos without frames
        frames = places - (ends - counts)[videos]
        scores = score_videos(scorer, lists.vectors(videos, frames, normalize=normalize))
        present, first = np.unique(videos, return_index=True)
        for video, part in zip(present, np.split(scores, first[1:]), strict=True):
            sums[video] += part.sum(axis=0, dtype=np.float64)
    means = sums / np.maximum(counts, 1)[:, None]
    return np.asarray(means, dtype=np.float32)
