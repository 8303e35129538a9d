"""Eigenvectors of a covariance, the largest variance first, with signs that do not hang on chance.

Paper: §3.3 and §4.2.2 (PCA).

Axes: D features, C components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from yt8m_spark.core.moment_tiles import TiledMoments
from yt8m_spark.core.moments import Moments

__all__ = [
    "Eigenpairs",
    "components_that_explain",
    "dense_eigenpairs",
    "leading_eigenpairs",
    "noise_variances",
]

Floats = NDArray[np.float64]

# Components that are looked for first where a share of the variance is asked for; then twice, ...
_FIRST_COMPONENTS = 64
# A share of 1 is reached by all components but for rounding.
_SHARE_ROUNDING = 1e-12


class Eigenpairs(NamedTuple):
    """The first C components of a covariance."""

    values: Floats  # (C,), variances, descending, at least 0
    vectors: Floats  # (C, D), unit rows, the largest entry of each positive
    spectrum: Floats  # all variances that are known, at least C


def components_that_explain(spectrum: Floats, total: float, share: float) -> int | None:
    """The fewest leading components that hold ``share`` of the variance ``total``.

    None if all of the ``spectrum`` that is known hold less.
    """
    enough = np.cumsum(spectrum) >= share * total * (1 - _SHARE_ROUNDING)
    return int(np.argmax(enough)) + 1 if enough.any() else None


def dense_eigenpairs(
    moments: Moments, n_components: int | None = None, share: float | None = None
) -> Eigenpairs:
    """Components of a covariance in memory: ``n_components``, those of ``share``, or all D.

    Holds 40 D² bytes, the moments with them.
    """
    values, columns = eigh(moments.covariance, overwrite_a=True, driver="evd", check_finite=False)
    spectrum = values[::-1].clip(0)  # rounding may leave a variance that is 0 slightly below it
    if share is not None:
        n_components = components_that_explain(spectrum, float(spectrum.sum()), share)
    kept = n_components or len(spectrum)
    vectors = _with_signs(columns[:, ::-1][:, :kept].T)
    noise = noise_variances(vectors, np.diagonal(moments.scatter) / moments.n, moments.rounding)
    return Eigenpairs(_above(spectrum[:kept], noise), vectors, spectrum)


def leading_eigenpairs(
    moments: TiledMoments, n_components: int | None, share: float | None, most: int
) -> Eigenpairs:
    """Components of a covariance on storage, by Lanczos' method: D² flops a step.

    Holds 48 D C bytes. The first vector is fixed: the same tiles give the same components.

    Parameters
    ----------
    moments : TiledMoments
    n_components, share
        C, or the share of the variance to hold; one of them.
    most : int
        The largest C allowed, below D.

    Raises
    ------
    ValueError
        If ``most`` components do not hold the share, or the method does not converge.
    """
    if share is None:
        return _lanczos(moments, n_components or most)
    tried = min(_FIRST_COMPONENTS, most)
    total = float(moments.variances.sum())
    while True:
        found = _lanczos(moments, tried)
        kept = components_that_explain(found.spectrum, total, share)
        if kept is not None:
            return Eigenpairs(found.values[:kept], found.vectors[:kept], found.spectrum)
        if tried == most:
            held = found.spectrum.sum() / total
            raise ValueError(
                f"{most} components, the most that the memory allows, hold {held:.4f} of the "
                f"variance, below the {share} asked for"
            )
        tried = min(2 * tried, most)


def noise_variances(vectors: Floats, variances: Floats, rounding: float) -> Floats:
    """Variance (C,) that rounding alone may show along each of ``vectors`` (C, D).

    Parameters
    ----------
    vectors : (C, D)
    variances : (D,)
        Of the features.
    rounding : float
        See `Moments.rounding`.

    Notes
    -----
    Entry (i, j) of the covariance is off by about ε s_i s_j at random. Along v that makes
    ε Σ v² s², and the eigenvectors of the smallest variances, which are those along which the
    errors happen to add up, see 2 √D of it: the norm of a random symmetric matrix. On exactly
    rank-deficient rows in float32 (one chunk, D = 300, 1024) we measured 0.4 to 0.95 √D. At
    D = 1,024 and ε = 2^-23 it is 8e-6 of the mean variance. With a ridge of more than 1e-3 it
    does not matter; with none, a component below it is rounding and is not scaled up.
    """
    scale = 2 * np.sqrt(len(variances)) * rounding
    return np.asarray(scale * (vectors**2 @ variances))


def _above(values: Floats, noise: Floats) -> Floats:
    """``values`` (C,), those that are ``noise`` set to 0."""
    return np.where(values > noise, values, 0)


def _lanczos(moments: TiledMoments, n_components: int) -> Eigenpairs:
    width = moments.width
    covariance: LinearOperator = LinearOperator(
        (width, width),
        matvec=lambda v: moments.covariance_times(v.ravel()),
        matmat=moments.covariance_times,
        dtype=np.float64,
    )
    start = np.random.default_rng(0).normal(size=width)
    try:
        values, columns = eigsh(covariance, n_components, which="LA", v0=start)
    except ArpackNoConvergence as error:
        raise ValueError(
            f"{len(error.eigenvalues)} of {n_components} components converged; ask for fewer"
        ) from error
    order = np.argsort(-values, kind="stable")
    spectrum = values[order].clip(0)
    vectors = _with_signs(columns[:, order].T)
    noise = noise_variances(vectors, moments.variances, moments.rounding)
    return Eigenpairs(_above(spectrum, noise), vectors, spectrum)


def _with_signs(vectors: Floats) -> Floats:
    """``vectors`` (C, D) turned so that the largest entry of each is positive."""
    largest = np.abs(vectors).argmax(axis=1)
    signs = np.sign(vectors[np.arange(len(vectors)), largest])
    return np.ascontiguousarray(vectors * signs[:, None])
