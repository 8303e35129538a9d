"""What VLAD and Fisher vectors share: sums over a video's frames of how far they are from centres.

A frame and a centre that it belongs to are a pair; frames of many videos make one list of pairs.

Axes: V videos, N frames, D features, P of a descriptor, W of an encoding, K centres, R pairs, Q
columns that are summed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from yt8m_spark.core.frame_blocks import check_frames
from yt8m_spark.core.frame_codebook import FrameCodebook, descriptors
from yt8m_spark.core.video_runs import video_runs

__all__ = ["Run", "add_pairs", "encode_runs", "normalize_encodings", "pairs_at_once", "runs"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Numbers of all pairs that are in memory at once, so that they stay in the cache: 1 MiB a copy.
_PAIRS_AT_ONCE = 1 << 17
# Frames that are compared with all centres in one product, unless one video has more.
_FRAMES_AT_ONCE = 2048
# Sums of a run of videos, in numbers: 16 MiB.
_SUMS_AT_ONCE = 1 << 21


class Run(NamedTuple):
    """Some videos that are encoded at once."""

    videos: slice  # of all videos
    lengths: Ints  # (V,) frames of each
    values: NDArray[np.float32]  # (N, P) descriptors of their frames, one video after the other

    @property
    def numbers(self) -> Ints:
        """Video of each frame, (N,), counted within the run."""
        return np.repeat(np.arange(len(self.lengths), dtype=np.int64), self.lengths)


def runs(frames: NDArray[np.generic], offsets: Ints, codebook: FrameCodebook) -> Iterator[Run]:
    """All videos in runs whose frames and sums fit into little memory.

    Parameters
    ----------
    frames : (N, D) uint8 codes or float32 values
        Frames of all videos, one video after the other.
    offsets : (V + 1,) int64
        Video v has the frames ``offsets[v]`` to ``offsets[v + 1]``.
    codebook : FrameCodebook

    Raises
    ------
    ValueError
        If frames and offsets do not fit, or the codebook is of another D.
    """
    check_frames(frames, offsets)
    n_videos = max(1, _SUMS_AT_ONCE // codebook.width)
    for first, last in video_runs(offsets, _FRAMES_AT_ONCE, n_videos):
        values = descriptors(frames[offsets[first] : offsets[last]], codebook)
        yield Run(slice(first, last), np.diff(offsets[first : last + 1]), values)


def encode_runs(
    parts: Iterable[tuple[Run, Floats]], n_videos: int, codebook: FrameCodebook
) -> NDArray[np.float32]:
    """Encodings (V, W) of runs and their sums, normalised; NaN for a video of no frames."""
    out = np.full((n_videos, codebook.width), np.nan, np.float32)
    for run, sums in parts:
        encoded = normalize_encodings(sums.reshape(len(sums), -1), codebook.power)
        seen = run.lengths > 0
        out[run.videos][seen] = encoded[seen]
    return out


def pairs_at_once(n_features: int) -> int:
    """Pairs R of ``n_features`` that are worked on at once."""
    return max(1, _PAIRS_AT_ONCE // n_features)


def add_pairs(
    sums: Floats, videos: Ints, centres: Ints, weights: Floats, columns: NDArray[np.floating]
) -> None:
    """Add the ``columns`` of pairs, each times its weight, to the sums of their video and centre.

    Parameters
    ----------
    sums : (V, K, Q) float64
        Added to, in place.
    videos, centres : (R,) int64
    weights : (R,) float64
    columns : (R, Q)
    """
    n_centres = sums.shape[1]
    cells, places = np.unique(videos * n_centres + centres, return_inverse=True)
    order = np.argsort(places, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(places))])
    picked = csr_array((weights[order], order, starts), shape=(len(cells), len(videos)))
    sums.reshape(-1, sums.shape[2])[cells] += picked @ columns  # each cell once


def normalize_encodings(encodings: Floats, power: float) -> NDArray[np.float32]:
    """Encodings (V, W) after the power normalisation, then of length 1; all zeros stay zeros.

    Paper: "standard" encodings (§4.1.2), improved as Perronnin et al., ECCV 2010, have it:
    sign(z)|z|^power, then L2. Overwrites ``encodings``.
    """
    if power != 1:
        sizes = np.abs(encodings)
        sizes = np.sqrt(sizes) if power == 0.5 else sizes**power  # a root is five times as fast
        np.copysign(sizes, encodings, out=encodings)
    lengths = np.sqrt(np.einsum("vw,vw->v", encodings, encodings))
    lengths[lengths == 0] = 1
    encodings /= lengths[:, None]
    return encodings.astype(np.float32)
