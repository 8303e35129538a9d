"""Mergeable histograms of features, the state that an optimal code is fitted on (paper §3.3).

Axes: V videos (or frames), D features, K bins.

Two passes: the range of each feature, then counts in equal bins over it. Beside its count each bin
keeps where in the bin its values lie on average, as a sum of whole numbers. All of the state is
whole numbers, so it merges exactly, in any order and for any partitioning.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "OFFSET_UNITS",
    "Histogram",
    "Range",
    "bin_centroids",
    "histogram_of",
    "merge_histograms",
    "merge_ranges",
    "range_of",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Places told apart within a bin. A bin can hold 2**63 / 2**20 = 8.8e12 values.
OFFSET_UNITS = 2**20


class Range(NamedTuple):
    """Least and greatest value of each feature; 8 D bytes, exact whatever the order."""

    low: NDArray[np.float32]  # (D,)
    high: NDArray[np.float32]  # (D,)


class Histogram(NamedTuple):
    """Counts in K equal bins over the range of each feature; 16 D K bytes.

    That is 32 MiB for 1,024 features and 2,048 bins.
    """

    range: Range  # of (D,)
    counts: Ints  # (D, K), values in each bin
    offsets: Ints  # (D, K), sum of the places of these values in their bin, OFFSET_UNITS a bin


def range_of(values: NDArray[np.float32]) -> Range:
    """Range of each column of ``values`` (V, D), V >= 1.

    Raises
    ------
    ValueError
        If there are no rows, or a value is NaN or infinite: bins over it would have no width.
    """
    if values.ndim != 2 or len(values) == 0:
        raise ValueError(f"a range needs values of shape (V >= 1, D), got {values.shape}")
    low, high = values.min(axis=0), values.max(axis=0)
    finite = np.isfinite(low) & np.isfinite(high)
    if not finite.all():
        raise ValueError(f"feature {int(np.argmin(finite))} holds NaN or infinity")
    return Range(low.astype(np.float32), high.astype(np.float32))


def merge_ranges(a: Range, b: Range) -> Range:
    """Range of the values of ``a`` and ``b`` together.

    Raises
    ------
    ValueError
        If the widths D differ.
    """
    if a.low.shape != b.low.shape:
        raise ValueError(f"cannot merge ranges of widths {len(a.low)} and {len(b.low)}")
    return Range(np.minimum(a.low, b.low), np.maximum(a.high, b.high))


def histogram_of(values: NDArray[np.float32], over: Range, n_bins: int) -> Histogram:
    """Histogram of the columns of ``values`` (V, D) in ``n_bins`` equal bins over ``over``.

    A value on an edge belongs to the bin above it, the greatest to the last bin. A feature that
    does not vary has all its values at the start of its first bin.

    Raises
    ------
    ValueError
        If the width is not that of ``over``, or a value lies outside it (or is NaN): it would
        count in a bin that it is not in.
    """
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    n_features = len(over.low)
    if values.ndim != 2 or values.shape[1] != n_features:
        raise ValueError(f"values must be (V, {n_features}), got {values.shape}")
    outside = ~((values >= over.low) & (values <= over.high))
    if outside.any():
        row, feature = np.argwhere(outside)[0]
        raise ValueError(
            f"value {values[row, feature]} of feature {feature} is outside its range "
            f"[{over.low[feature]}, {over.high[feature]}]"
        )
    low = over.low.astype(np.float64)
    place = values - low  # (V, D) float64
    place *= n_bins / np.where(over.high > over.low, over.high - low, np.inf)
    bins = np.minimum(place.astype(np.int64), n_bins - 1)
    place -= bins
    units = np.minimum((place * OFFSET_UNITS).astype(np.int64), OFFSET_UNITS)
    bins += np.arange(n_features) * n_bins
    size, shape = n_features * n_bins, (n_features, n_bins)
    counts = np.bincount(bins.ravel(), minlength=size).reshape(shape)
    # bincount adds in float64, which holds whole numbers below 2**53: 2**33 values at once.
    sums = np.bincount(bins.ravel(), weights=units.ravel(), minlength=size).reshape(shape)
    return Histogram(over, counts.astype(np.int64), sums.astype(np.int64))


def merge_histograms(a: Histogram, b: Histogram) -> Histogram:
    """Histogram of the values of ``a`` and ``b`` together, exactly.

    Raises
    ------
    ValueError
        If they are not over the same bins.
    """
    same = a.counts.shape == b.counts.shape and all(map(np.array_equal, a.range, b.range))
    if not same:
        raise ValueError("cannot merge histograms over different bins")
    return Histogram(a.range, a.counts + b.counts, a.offsets + b.offsets)


def bin_centroids(histogram: Histogram) -> Floats:
    """Mean of the values in each bin, (D, K), in bins from the low end; the start if it is empty.

    Off by less than 1 / `OFFSET_UNITS` of a bin.
    """
    n_bins = histogram.counts.shape[1]
    filled = np.maximum(histogram.counts, 1)
    return np.asarray(np.arange(n_bins) + histogram.offsets / (filled * float(OFFSET_UNITS)))
