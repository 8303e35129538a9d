"""Mergeable first and second moments (for the PCA of paper §3.3 and §4.2.2).

Axes: V videos (or frames), D features.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dger, dsyrk, ssyrk

from yt8m_spark.core.triangles import mirror

__all__ = [
    "CHUNK_ROWS",
    "ChunkMeans",
    "MomentSums",
    "Moments",
    "merge_all",
    "merge_means",
    "merge_moments",
    "moments_of",
    "product_type",
]

Floats = NDArray[np.float64]

# Rows of one product. Long enough that adding the product to the sums (D² numbers) costs 4 % of
# it; short enough that float32 loses no more than `Moments.rounding` says.
CHUNK_ROWS = 1024
# Means that wait until their spread is added: one product of rank 64 for 64 updates of rank 1.
_MEANS_AT_ONCE = 64
# Columns of a strip when a triangle is worked on: above it nothing is computed.
_STRIP = 256
# Up to this width float64 products take less time than reading the rows.
_NARROW = 256


class Moments(NamedTuple):
    """Count, mean and scatter of a set of rows; 8 D (D + 1) bytes."""

    n: int
    mean: Floats  # (D,)
    scatter: Floats  # (D, D), sum over rows of (x - mean)(x - mean)^T
    # An entry of the covariance is off by about this times the product of the two features'
    # standard deviations: the unit roundoff of the products that were summed.
    rounding: float = float(np.finfo(np.float64).eps)

    @property
    def covariance(self) -> Floats:
        """(D, D), divisor n."""
        return self.scatter / self.n


class ChunkMeans:
    """Means of chunks of rows, whose spread joins a scatter for many chunks at once.

    Parameters
    ----------
    width : int
        D.

    Attributes
    ----------
    n : int
        Rows of the chunks whose spread has been taken.
    mean : (D,) float64
        Their mean.
    """

    def __init__(self, width: int) -> None:
        self.n = 0
        self.mean: Floats = np.zeros(width)
        self._waiting: list[tuple[int, Floats, Floats]] = []

    @property
    def full(self) -> bool:
        """Whether `fold` is due."""
        return len(self._waiting) == _MEANS_AT_ONCE

    def centre(self, chunk: NDArray[np.floating]) -> None:
        """Subtract from ``chunk`` (n, D), in place, its mean as far as its type can hold it.

        Raises
        ------
        ValueError
            If a value is NaN or infinite: it would spread to every entry.
        """
        mean = chunk.mean(axis=0, dtype=np.float64)
        if not np.isfinite(mean).all():
            raise ValueError(f"feature {int(np.argmin(np.isfinite(mean)))} holds NaN or infinity")
        shift = mean.astype(chunk.dtype)
        # The difference of two floats that are near each other is exact: nothing is lost here.
        np.subtract(chunk, shift, out=chunk)
        self._waiting.append((len(chunk), mean, mean - shift))

    def fold(self) -> tuple[Floats, Floats]:
        """Rows ``b`` and ``r`` (k, D): what the chunks' products lack is bᵀb - rᵀr.

        With s the shift of a chunk of n rows, m its mean, r = m - s and M the mean of all,
        Σ (x-M)(x-M)ᵀ = Σ (x-s)(x-s)ᵀ + n (m-M)(m-M)ᵀ - n r rᵀ.
        """
        counts = np.array([self.n, *(n for n, _, _ in self._waiting)], dtype=np.float64)
        means = np.array([self.mean, *(mean for _, mean, _ in self._waiting)])
        left = np.array([np.zeros_like(self.mean), *(r for _, _, r in self._waiting)])
        # About the first mean, so that the mean of means far from 0 keeps its last digits.
        origin = means[-1]
        self.n = int(counts.sum())
        if self.n:
            self.mean = origin + (counts / self.n) @ (means - origin)
        self._waiting.clear()
        weights = np.sqrt(counts)[:, None]
        return (means - self.mean) * weights, left * weights


class MomentSums:
    """Moments of rows that come in pieces of any length.

    Holds 12 D² + 4,096 D bytes in float32, 16 D² + 8,192 D in float64.

    Parameters
    ----------
    width : int
        D.
    dtype : type
        float32 or float64: of the rows, and of their products.

    Notes
    -----
    Chunks of 1,024 rows are centred about their own mean, multiplied in ``dtype`` by BLAS syrk
    (one triangle) and summed in float64. In float32 an entry of the covariance is off by at most
    a few units of rounding (2^-23) of the product of the two standard deviations, whatever the
    mean and the scale of each feature: measured 1 on normal rows, 4 at mean 100 and standard
    deviation 0.01, 7 on log-normal ones. That is of one chunk; over many it averages down.
    float64 products are exact to 1e-15 and take twice the time: see `product_type`. What it means
    for eigenvalues is told at `core.eigenpairs.noise_variances`.
    """

    def __init__(self, width: int, dtype: type[np.floating] = np.float32) -> None:
        self._syrk = ssyrk if dtype is np.float32 else dsyrk
        self._rounding = float(np.finfo(dtype).eps)
        self._rows = np.empty((CHUNK_ROWS, width), dtype)
        self._filled = 0
        self._means = ChunkMeans(width)
        # Column-major, as BLAS has it; only lower triangles are meant.
        self._product = np.zeros((width, width), dtype, order="F")
        self._scatter = np.zeros((width, width), order="F")

    @property
    def width(self) -> int:
        """D."""
        return len(self._scatter)

    def add(self, rows: NDArray[np.floating]) -> None:
        """Count ``rows`` (V, D).

        Raises
        ------
        ValueError
            If a value is NaN or infinite.
        """
        if self.width == 0:
            self._filled += len(rows)  # nothing to multiply, which BLAS would refuse
            return
        start = 0
        while start < len(rows):
            piece = rows[start : start + CHUNK_ROWS - self._filled]
            self._rows[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            start += len(piece)
            if self._filled == CHUNK_ROWS:
                self._multiply()

    def total(self) -> Moments | None:
        """Moments of all rows so far; None if there are none. It ends the sums.

        Raises
        ------
        ValueError
            If deviations are so large that float32 squares overflow.
        """
        if self.width == 0:
            return Moments(self._filled, np.zeros(0), np.zeros((0, 0))) if self._filled else None
        self._multiply()
        self._fold()
        if self._means.n == 0:
            return None
        variances = np.diagonal(self._scatter)
        if not np.isfinite(variances).all():
            worst = int(np.argmin(np.isfinite(variances)))
            raise ValueError(f"feature {worst} is too large to be squared in float32")
        mirror(self._scatter)
        return Moments(self._means.n, self._means.mean, self._scatter.T, self._rounding)

    def _multiply(self) -> None:
        """Add the chunk that was collected to the scatter."""
        chunk = self._rows[: self._filled]
        if not len(chunk):
            return
        self._means.centre(chunk)
        # On overflow the result is infinite, which `total` tells of.
        self._product = self._syrk(1.0, chunk.T, beta=0.0, c=self._product, overwrite_c=1, lower=1)
        for start in range(0, self.width, _STRIP):
            below = np.s_[start:, start : start + _STRIP]
            self._scatter[below] += self._product[below]
        self._filled = 0
        if self._means.full:
            self._fold()

    def _fold(self) -> None:
        """Add the spread of the chunks' means."""
        for sign, rows in zip((1.0, -1.0), self._means.fold(), strict=True):
            self._scatter = dsyrk(sign, rows.T, beta=1.0, c=self._scatter, overwrite_c=1, lower=1)


def product_type(width: int) -> type[np.floating]:
    """Type for the products of float32 rows of ``width`` features: float64 where they are few.

    Weights trained on whitened videos amplify what the order of rows does to float32 products: by
    1e-6 of their size, for some of them by 1e-5. With float64 it is the rounding of a weight.
    """
    return np.float64 if width <= _NARROW else np.float32


def moments_of(rows: NDArray[np.floating]) -> Moments:
    """Moments of ``rows`` (V, D), V >= 1; of float32 rows with float32 products (`MomentSums`).

    Rows are centred before they are squared: the squares of float32 values at mean 100 and
    standard deviation 0.01 hold nothing of the deviation.

    Raises
    ------
    ValueError
        If there are no rows, or a value is NaN or infinite: it would spread to every entry.
    """
    if rows.ndim != 2 or len(rows) == 0:
        raise ValueError(f"moments need rows of shape (V >= 1, D), got {rows.shape}")
    sums = MomentSums(rows.shape[1], np.float32 if rows.dtype == np.float32 else np.float64)
    sums.add(rows)
    total = sums.total()
    assert total is not None  # noqa: S101 - there are rows; for mypy
    return total


def merge_moments(a: Moments, b: Moments) -> Moments:
    """Moments of the rows of ``a`` and ``b`` together (Chan, Golub and LeVeque 1979).

    Raises
    ------
    ValueError
        If the widths D differ.
    """
    return _merged_into(a.scatter.copy(), a, b)


def merge_all(moments: Iterable[Moments]) -> Moments | None:
    """Merge in the order given, two in memory at a time; None if there are none."""
    merged: Moments | None = None
    owned = False  # whether the scatter is ours to change: what was given stays as it is
    for one in moments:
        if merged is None:
            merged = one
        else:
            scatter = merged.scatter if owned else merged.scatter.copy()
            merged, owned = _merged_into(scatter, merged, one), True
    return merged


def merge_means(parts: Iterable[tuple[int, Floats]]) -> tuple[int, Floats] | None:
    """Count and mean (D,) of sets of rows, from those of each; None if there are none.

    Raises
    ------
    ValueError
        If the widths D differ.
    """
    merged: tuple[int, Floats] | None = None
    for n, mean in parts:
        if merged is None:
            merged = n, mean
        else:
            _check_widths(merged[1], mean)
            total = merged[0] + n
            merged = total, merged[1] + (mean - merged[1]) * (n / total)
    return merged


def _merged_into(scatter: Floats, a: Moments, b: Moments) -> Moments:
    """``a`` and ``b`` together; ``scatter`` holds that of ``a`` and is overwritten."""
    _check_widths(a.mean, b.mean)
    n = a.n + b.n
    delta = b.mean - a.mean
    scatter += b.scatter
    # Symmetric, so the transposed view, which BLAS can change in place, is the same matrix.
    merged = dger(a.n * b.n / n, delta, delta, a=scatter.T, overwrite_a=1)
    mean = a.mean + delta * (b.n / n)
    return Moments(n, mean, merged.T, max(a.rounding, b.rounding))


def _check_widths(a: Floats, b: Floats) -> None:
    if a.shape != b.shape:
        raise ValueError(f"cannot merge moments of widths {len(a)} and {len(b)}")
