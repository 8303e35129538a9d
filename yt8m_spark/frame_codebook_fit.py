"""Fit codebooks of frames by scikit-learn: k-means and mixtures of Gaussians (paper §4.1.2).

Axes: N frames, D features of a frame, P of them after the PCA, K centres.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.eigenpairs import dense_eigenpairs
from yt8m_spark.core.frame_codebook import (
    CodebookMethod,
    CodebookOptions,
    FrameCodebook,
    FrameProjection,
    descriptors,
    gmm_codebook,
)
from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.quantization import dequantize
from yt8m_spark.core.vlad import nearest_centres
from yt8m_spark.errors import InputError

__all__ = ["MAX_ITERATIONS", "Fitted", "fit_codebooks"]

Floats = NDArray[np.float64]

# Of Lloyd's algorithm, and again of EM. The one stops before when no frame changes its centre or
# centres hardly move (scikit-learn's tolerance, 1e-4), the other when `_TOLERANCE` says so.
MAX_ITERATIONS = 100
# Iterations between two words of progress; a word costs about half an iteration.
_ITERATIONS_AT_ONCE = 5
_TOLERANCE = 1e-3  # scikit-learn's, of the rise of the mean log-likelihood of a frame
_LEAST_VARIANCE = 1e-6  # scikit-learn's, added to variances in EM; floors come after


class Fitted(NamedTuple):
    """A codebook, and how its fit went."""

    codebook: FrameCodebook
    shares: Floats  # (K,) of the frames, of each centre
    facts: dict[str, float]


def fit_codebooks(
    codes: NDArray[np.uint8],
    methods: Sequence[CodebookMethod],
    options: CodebookOptions,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[CodebookMethod, Fitted]:
    """Codebook of each of ``methods`` from the same frames; mixtures start from k-means.

    Parameters
    ----------
    codes : (N, D) uint8
        Frames to fit on, as `spark.frame_codebook.sample_codes` gives them.
    methods : sequence of "kmeans", "gmm"
    options : CodebookOptions
        ``n_sampled`` is not heeded: all of ``codes`` are used.
    advance : function of int, optional
        Told how many iterations more are done.

    Raises
    ------
    InputError
        If there are fewer distinct frames than centres, or fewer features than dimensions asked
        for.

    Notes
    -----
    k-means starts from k-means++ and has one run; the seed decides it. All is done in one thread:
    sums in another order would end in other centres. Holds about 30 bytes a number of the frames.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    options.check()
    _check(codes, options)
    with threadpool_limits(limits=1):
        projection = _projection(codes, options)
        values = _values(codes, projection)
        centres, shares, facts = _kmeans(values, options, advance)
        found: dict[CodebookMethod, Fitted] = {}
        if "kmeans" in methods:
            of_centres = FrameCodebook(
                centres, projection=projection, power=options.power, intra=options.intra
            )
            found["kmeans"] = Fitted(of_centres, shares, facts)
        if "gmm" in methods:
            found["gmm"] = _gmm(values, centres, projection, options, advance)
    return found


def _check(codes: NDArray[np.uint8], options: CodebookOptions) -> None:
    distinct = len({row.tobytes() for row in codes})
    if distinct < options.n_centres:
        raise InputError(
            "fewer distinct frames than centres",
            where="the sample of frames",
            expected=f"at least {options.n_centres}",
            found=distinct,
        )
    if options.n_dimensions is not None and options.n_dimensions > codes.shape[1]:
        raise InputError(
            "more dimensions asked for than frames have",
            expected=f"n_dimensions of at most {codes.shape[1]}",
            found=options.n_dimensions,
        )


def _projection(codes: NDArray[np.uint8], options: CodebookOptions) -> FrameProjection | None:
    """PCA of the frames, if one is asked for."""
    if options.n_dimensions is None:
        return None
    moments = moments_of(dequantize(codes))
    pairs = dense_eigenpairs(moments, options.n_dimensions)
    return FrameProjection(moments.mean.astype(np.float32), pairs.vectors.astype(np.float32))


def _values(codes: NDArray[np.uint8], projection: FrameProjection | None) -> NDArray[np.float32]:
    """What centres are found of, (N, P): as encoders see the frames."""
    if projection is None:
        return dequantize(codes)
    blank = np.zeros((1, len(projection.rows)), np.float32)
    return descriptors(codes, FrameCodebook(blank, projection=projection))


def _kmeans(
    values: NDArray[np.float32], options: CodebookOptions, advance: Callable[[int], None]
) -> tuple[NDArray[np.float32], Floats, dict[str, float]]:
    """Centres (K, P), shares (K,) and figures of the fit."""
    # Takes a second to import, and only fitting needs it.
    from sklearn.cluster import KMeans, kmeans_plusplus
    from sklearn.exceptions import ConvergenceWarning

    centres, _ = kmeans_plusplus(values, options.n_centres, random_state=options.seed)
    done = 0
    with warnings.catch_warnings():
        # Frames whose distances round to the same: fewer clusters than distinct frames.
        warnings.simplefilter("ignore", ConvergenceWarning)
        while done < MAX_ITERATIONS:
            fit = KMeans(
                options.n_centres, init=centres, n_init=1, max_iter=_ITERATIONS_AT_ONCE
            ).fit(values)
            centres = fit.cluster_centers_
            done += fit.n_iter_
            advance(fit.n_iter_)
            if fit.n_iter_ < _ITERATIONS_AT_ONCE:
                break
    facts = {
        "n_frames": len(values),
        "n_iterations": done,
        "mean_squared_distance": float(fit.inertia_) / len(values),
    }
    shares = np.bincount(fit.labels_, minlength=len(centres)) / len(values)
    return np.asarray(centres, np.float32), shares, facts


def _gmm(
    values: NDArray[np.float32],
    centres: NDArray[np.float32],
    projection: FrameProjection | None,
    options: CodebookOptions,
    advance: Callable[[int], None],
) -> Fitted:
    """Mixture of Gaussians by EM, from the clusters of ``centres``."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    wide = values.astype(np.float64)  # EM takes variances as differences of squares
    frame_variances = wide.var(axis=0)
    mixture = GaussianMixture(
        options.n_centres,
        covariance_type="diag",
        max_iter=_ITERATIONS_AT_ONCE,
        tol=_TOLERANCE,
        reg_covar=_LEAST_VARIANCE,
        init_params="random_from_data",  # not heeded: what follows is all there is to start from
        random_state=options.seed,
        warm_start=True,
        **_start(wide, centres, frame_variances),
    )
    done = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few iterations seldom converge
        while done < MAX_ITERATIONS and not getattr(mixture, "converged_", False):
            mixture.fit(wide)
            done += mixture.n_iter_
            advance(mixture.n_iter_)
    codebook = gmm_codebook(
        mixture.means_,
        mixture.covariances_,
        mixture.weights_,
        frame_variances=frame_variances,
        n_frames=len(wide),
        projection=projection,
        options=options,
    )
    return Fitted(codebook, mixture.weights_, _facts(mixture, codebook, done, len(wide)))


def _facts(mixture: Any, codebook: FrameCodebook, done: int, n_frames: int) -> dict[str, float]:
    raised = codebook.variances > mixture.covariances_ * (1 + 1e-6)
    return {
        "n_frames": n_frames,
        "n_iterations": done,
        "converged": float(mixture.converged_),
        "log_likelihood": float(mixture.lower_bound_),
        "raised_variances": float(raised.mean()),
    }


def _start(wide: Floats, centres: NDArray[np.float32], frame_variances: Floats) -> dict[str, Any]:
    """Weights, means and precisions of the clusters of ``centres``."""
    nearest = nearest_centres(wide.astype(np.float32), centres)
    counts = np.bincount(nearest, minlength=len(centres))
    variances = np.empty(centres.shape)
    for k in range(len(centres)):
        rows = wide[nearest == k]
        variances[k] = rows.var(axis=0) if len(rows) else frame_variances
    # A cluster of a few equal frames could otherwise never let go of them.
    floor = 0.1 * frame_variances + _LEAST_VARIANCE
    weights = np.maximum(counts, 1) / np.maximum(counts, 1).sum()
    return {
        "weights_init": weights,
        "means_init": centres.astype(np.float64),
        "precisions_init": 1 / np.maximum(variances, floor),
    }
