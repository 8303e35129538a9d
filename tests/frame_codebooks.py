"""Small codebooks of frames for tests, and their encodings by definition."""

import itertools

import numpy as np
from scipy.stats import norm

from yt8m_spark.core.frame_codebook import FrameCodebook

# None, one, more than a run or a block holds, many of one length.
LENGTHS = (3, 0, 1, 300, 6, 0, 10, 10, 10)


def make_values(lengths=LENGTHS, d=3, seed=1):
    """Frames of videos of ``lengths``, and their offsets."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = np.random.default_rng(seed).normal(size=(offsets[-1], d)).astype(np.float32)
    return values, offsets


def make_kmeans(n_centres=4, d=3, seed=0, **options):
    centres = np.random.default_rng(seed).normal(size=(n_centres, d)).astype(np.float32)
    return FrameCodebook(centres, **options)


def make_gmm(n_centres=4, d=3, seed=0, **options):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(n_centres, 5.0))
    means = rng.normal(size=(n_centres, d)).astype(np.float32)
    variances = rng.uniform(0.2, 1.5, size=(n_centres, d)).astype(np.float32)
    return FrameCodebook(means, variances, weights, **options)


def log_joint(x, means, deviations, weights):
    """log of w_k N(x | k), (N, K), of every frame ``x`` (N, D), by SciPy's normal density."""
    densities = norm.logpdf(x[:, None, :], means[None], deviations[None]).sum(axis=2)
    return densities + np.log(weights)


def normalized(encoding, power):
    encoding = np.sign(encoding) * np.abs(encoding) ** power
    length = np.linalg.norm(encoding)
    return encoding / length if length else encoding


def brute_vlad(values, offsets, book):
    """VLAD in float64, a frame at a time."""
    rows = []
    for start, stop in itertools.pairwise(offsets):
        sums = np.zeros(book.centres.shape)
        for x in values[start:stop].astype(np.float64):
            k = int(np.argmin(((x - book.centres) ** 2).sum(axis=1)))
            sums[k] += x - book.centres[k]
        if book.intra:
            sums = np.array([normalized(part, 1) for part in sums])
        rows.append(normalized(sums.ravel(), book.power))
        if start == stop:
            rows[-1] = np.full(sums.size, np.nan)
    return np.array(rows)


def brute_fisher_gradients(values, offsets, book):
    """The formulas of Perronnin et al. in float64, a video at a time; zeros without frames."""
    means, weights = book.centres.astype(np.float64), book.weights
    deviations = np.sqrt(book.variances.astype(np.float64))
    rows = []
    for start, stop in itertools.pairwise(offsets):
        x = values[start:stop].astype(np.float64)
        logs = log_joint(x, means, deviations, weights)
        posteriors = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
        z = (x[:, None] - means) / deviations
        share = max(len(x), 1)
        by_mean = (posteriors[:, :, None] * z).sum(axis=0) / share / np.sqrt(weights)[:, None]
        by_deviation = (posteriors[:, :, None] * (z**2 - 1)).sum(axis=0) / share
        by_deviation /= np.sqrt(2 * weights)[:, None]
        rows.append(np.concatenate([by_mean.ravel(), by_deviation.ravel()]))
    return np.array(rows)
