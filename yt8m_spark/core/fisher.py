"""Fisher vectors: which way a video's frames would pull a mixture of Gaussians (paper §4.1.2).

Axes: V videos, N frames of all videos, D features of a frame, P of its descriptor, K Gaussians,
R pairs of a frame and a Gaussian.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.frame_codebook import FrameCodebook
from yt8m_spark.core.residual_sums import Run, add_pairs, encode_runs, pairs_at_once, runs

__all__ = ["LEAST_POSTERIOR", "encode_fisher", "fisher_gradients"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Posteriors below count as 0, as in VLFeat's encoder. In many dimensions nearly all are.
LEAST_POSTERIOR = 1e-6
# Pairs are chosen by log-likelihoods in float32: what is left out is this much below the best of
# its frame; the margin of 2 is for their rounding. Posteriors are then exact.
_REACH = np.float32(2 - np.log(LEAST_POSTERIOR))


def encode_fisher(
    frames: NDArray[np.generic], offsets: Ints, codebook: FrameCodebook
) -> NDArray[np.float32]:
    """Improved Fisher vector (V, 2·K·P) of every video: `fisher_gradients`, normalised.

    Parameters
    ----------
    frames : (N, D) uint8 codes or float32 values
        Frames of all videos, one video after the other.
    offsets : (V + 1,) int64
        Video v has the frames ``offsets[v]`` to ``offsets[v + 1]``.
    codebook : FrameCodebook
        Of a mixture of Gaussians.

    Returns
    -------
    (V, 2·K·P) float32
        Power normalised, then of length 1; NaN for a video of no frames, which the caller turns
        into nulls.

    Raises
    ------
    ValueError
        If frames and offsets do not fit, or the codebook is of another D or no mixture.
    """
    parts = _gradient_runs(frames, offsets, codebook)
    return encode_runs(parts, len(offsets) - 1, codebook)


def fisher_gradients(frames: NDArray[np.generic], offsets: Ints, codebook: FrameCodebook) -> Floats:
    """Gradients of the mean log-likelihood of a video's frames, in units of their own spread.

    With γ_k the posterior of Gaussian k for a frame x, w its weight, μ its mean, σ² its variances
    and F the frames of the video::

        by the mean       1 / (F √w_k)     Σ_x γ_k (x - μ_k) / σ_k
        by the deviation  1 / (F √(2 w_k)) Σ_x γ_k ((x - μ_k)² / σ_k² - 1)

    That is d(mean log-likelihood)/dμ_k times σ_k / √w_k, and /dσ_k times σ_k / √(2 w_k): the
    inverse root of the Fisher information (Perronnin and Dance, CVPR 2007; Perronnin et al., ECCV
    2010, whom the paper cites).

    Parameters are those of `encode_fisher`.

    Returns
    -------
    (V, 2·K·P) float64
        By the means, Gaussian-major, then by the deviations alike; 0 for a video of no frames.

    Raises
    ------
    ValueError
        As `encode_fisher`.

    Notes
    -----
    Posteriors below 1e-6 count as 0, as they do in VLFeat. The gradient by the weights is left
    out, as it is there.
    """
    parts = [gradients for _, gradients in _gradient_runs(frames, offsets, codebook)]
    return np.concatenate([np.empty((0, codebook.width)), *parts])


class _Mixture(NamedTuple):
    """A mixture as products need it."""

    centres: NDArray[np.float32]  # (K, P)
    inverse_deviations: NDArray[np.float32]  # (K, P)
    log_scales: Floats  # (K,), log of w_k / Π σ_k; what all share is left out
    middle: NDArray[np.float32]  # (P,), taken off before squaring
    matrix: NDArray[np.float32]  # (2·P, K), for [x, x²]
    constants: NDArray[np.float32]  # (K,)


def _mixture(codebook: FrameCodebook) -> _Mixture:
    variances, weights = codebook.variances, codebook.weights
    if variances is None or weights is None:
        raise ValueError("Fisher vectors take a codebook of a mixture, got one of k-means")
    precisions = 1 / variances.astype(np.float64)
    log_scales = np.log(weights) + 0.5 * np.log(precisions).sum(axis=1)
    middle = (weights @ codebook.centres).astype(np.float32)
    centred = codebook.centres.astype(np.float64) - middle
    matrix = np.concatenate([(centred * precisions).T, -0.5 * precisions.T])
    constants = log_scales - 0.5 * (centred**2 * precisions).sum(axis=1)
    return _Mixture(
        codebook.centres,
        np.sqrt(precisions).astype(np.float32),
        log_scales,
        middle,
        np.ascontiguousarray(matrix, dtype=np.float32),
        constants.astype(np.float32),
    )


def _gradient_runs(
    frames: NDArray[np.generic], offsets: Ints, codebook: FrameCodebook
) -> Iterator[tuple[Run, Floats]]:
    """Runs of videos and their gradients (V, 2·K·P)."""
    mixture = _mixture(codebook)
    scale = np.repeat(np.sqrt(np.array([1, 2])[:, None] * codebook.weights), codebook.n_dimensions)
    for run in runs(frames, offsets, codebook):
        sums = _sums(run, mixture)  # (V, K, 2·P)
        by_kind = sums.reshape(len(sums), codebook.n_centres, 2, -1).swapaxes(1, 2)
        gradients = by_kind.reshape(len(sums), -1)
        gradients /= scale
        gradients /= np.maximum(run.lengths, 1)[:, None]
        yield run, gradients


def _sums(run: Run, mixture: _Mixture) -> Floats:
    """Sums (V, K, 2·P) of γ z and γ (z² - 1), z = (x - μ) / σ."""
    n_features = run.values.shape[1]
    sums = np.zeros((len(run.lengths), len(mixture.centres), 2 * n_features))
    frames, gaussians = _near_pairs(run.values, mixture)
    videos = run.numbers
    for start, stop in _cuts(frames, pairs_at_once(2 * n_features)):
        frame, gaussian = frames[start:stop], gaussians[start:stop]
        columns = np.empty((len(frame), 2 * n_features), np.float32)
        z, squares = columns[:, :n_features], columns[:, n_features:]
        # Centred on its own Gaussian before it is squared: nothing cancels.
        np.subtract(run.values[frame], mixture.centres[gaussian], out=z)
        z *= mixture.inverse_deviations[gaussian]
        np.multiply(z, z, out=squares)
        distances = np.einsum("rp->r", squares, dtype=np.float64)
        posteriors = _posteriors(mixture.log_scales[gaussian] - 0.5 * distances, frame)
        squares -= 1
        add_pairs(sums, videos[frame], gaussian, posteriors, columns)
    return sums


def _near_pairs(values: NDArray[np.float32], mixture: _Mixture) -> tuple[Ints, Ints]:
    """Pairs of frames and Gaussians that may have a posterior worth counting, frame by frame."""
    centred = values - mixture.middle
    logs = np.concatenate([centred, centred * centred], axis=1) @ mixture.matrix
    logs += mixture.constants
    logs -= logs.max(axis=1, keepdims=True)
    frames, gaussians = np.nonzero(logs > -_REACH)
    return frames.astype(np.int64, copy=False), gaussians.astype(np.int64, copy=False)


def _cuts(frames: Ints, n_pairs: int) -> Iterator[tuple[int, int]]:
    """Stretches of about ``n_pairs`` pairs that hold all pairs of their frames."""
    start = 0
    while start < len(frames):
        last = frames[min(start + n_pairs, len(frames)) - 1]
        stop = int(np.searchsorted(frames, last, side="right"))
        yield start, stop
        start = stop


def _posteriors(logs: Floats, frames: Ints) -> Floats:
    """Posteriors (R,) of pairs with log-likelihoods ``logs``, sorted by their ``frames``."""
    first = np.flatnonzero(np.diff(frames, prepend=-1))
    counts = np.diff(first, append=len(frames))
    total = np.logaddexp.reduceat(logs, first)
    found: Floats = np.exp(logs - np.repeat(total, counts))
    found[found < LEAST_POSTERIOR] = 0
    return found
