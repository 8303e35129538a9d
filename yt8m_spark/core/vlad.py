"""VLAD: how far a video's frames are from the centres they are nearest to, summed (paper §4.1.2).

Axes: V videos, N frames of all videos, D features of a frame, P of its descriptor, K centres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.frame_codebook import FrameCodebook
from yt8m_spark.core.residual_sums import Run, add_pairs, encode_runs, pairs_at_once, runs

__all__ = ["encode_vlad", "nearest_centres"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def encode_vlad(
    frames: NDArray[np.generic], offsets: Ints, codebook: FrameCodebook
) -> NDArray[np.float32]:
    """VLAD (V, K·P) of every video: v_k is the sum of x - c_k over the frames x nearest to c_k.

    Parameters
    ----------
    frames : (N, D) uint8 codes or float32 values
        Frames of all videos, one video after the other.
    offsets : (V + 1,) int64
        Video v has the frames ``offsets[v]`` to ``offsets[v + 1]``.
    codebook : FrameCodebook
        Of k-means.

    Returns
    -------
    (V, K·P) float32
        Centre-major: all features of the first centre, then of the second. Power normalised, then
        of length 1; NaN for a video of no frames, which the caller turns into nulls.

    Raises
    ------
    ValueError
        If frames and offsets do not fit, or the codebook is of another D or no k-means.

    Notes
    -----
    Jégou et al., CVPR 2010, whom the paper cites. Intra-normalisation (Arandjelović and Zisserman,
    CVPR 2013), if the codebook says so, gives the part of every centre length 1 first, so that
    frames that repeat do not outweigh the rest.
    """
    if codebook.method != "kmeans":
        raise ValueError("VLAD takes a codebook of k-means, got one of a mixture")
    parts = ((run, _sums(run, codebook)) for run in runs(frames, offsets, codebook))
    return encode_runs(parts, len(offsets) - 1, codebook)


def nearest_centres(values: NDArray[np.float32], centres: NDArray[np.float32]) -> Ints:
    """Index of the centre nearest to each of ``values`` (N, P), (N,); the first of equal ones.

    One float32 product of N x K x P. Two centres whose distances differ by less than its rounding,
    about 1e-6 of the squared spread of the centres, may change places.
    """
    middle = centres.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = centres - middle  # smaller squares lose less to rounding
    half = 0.5 * np.einsum("kp,kp->k", centred, centred, dtype=np.float64).astype(np.float32)
    nearness = values @ centred.T
    nearness -= half + centred @ middle  # x·c - |c|²/2, of x and c less the middle
    nearest: Ints = np.argmax(nearness, axis=1)
    return nearest


def _sums(run: Run, codebook: FrameCodebook) -> Floats:
    """Sums (V, K, P) of x - c_k."""
    sums = np.zeros((len(run.lengths), *codebook.centres.shape))
    nearest, videos = nearest_centres(run.values, codebook.centres), run.numbers
    step = pairs_at_once(codebook.n_dimensions)
    for start in range(0, len(videos), step):
        part = slice(start, start + step)
        residuals = run.values[part] - codebook.centres[nearest[part]]
        add_pairs(sums, videos[part], nearest[part], np.ones(len(residuals)), residuals)
    if codebook.intra:
        lengths = np.linalg.norm(sums, axis=2, keepdims=True)
        np.divide(sums, lengths, out=sums, where=lengths > 0)
    return sums
