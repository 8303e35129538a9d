"""The code of least mean squared error: Lloyd-Max quantization (paper §3.3).

Axes: D features, L levels, K bins of a histogram.

The error is least where each level is the centroid of its cell and each threshold the midpoint of
its levels (Max 1960, Lloyd 1982).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from yt8m_spark.core.codebooks import MAX_LEVELS, Codebook
from yt8m_spark.core.histograms import Histogram, bin_centroids

__all__ = ["fit_lloyd_max"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The iteration ends by itself, after tens of steps on real features; never after this many.
_MAX_ITERATIONS = 10_000

# Windows over the range in which the density of a feature is taken, to start with; ours.
_WINDOWS = 64


def fit_lloyd_max(
    histogram: Histogram, n_levels: int = MAX_LEVELS, *, max_iterations: int = _MAX_ITERATIONS
) -> Codebook:
    """Codebook of least mean squared error for the features counted in ``histogram``.

    Paper: §3.3, which computes uneven cells "optimally" and does not give the method.

    Parameters
    ----------
    histogram : Histogram
        Of D features; with D = 1 the codebook serves any number of them.
    n_levels : int
        L, 2 to 256.
    max_iterations : int
        Steps of Lloyd's method before it stops, converged or not.

    Raises
    ------
    ValueError
        If ``n_levels`` is out of range or a feature has no value at all.

    Notes
    -----
    The values of one bin are taken together, at their mean: more than a few bins a level bring
    nothing more. On them each step finds the nearest level of every bin, then the mean of every
    cell; neither can raise the error, so it ends where neither changes anything. Where that is
    depends on the start. There are two, equal cells and the cells that are optimal for many levels
    (density of levels as the cube root of that of values; Panter and Dite 1951), and the better end
    is taken, feature by feature: it is never worse than equal cells over the range.
    """
    if not 2 <= n_levels <= MAX_LEVELS:
        raise ValueError(f"n_levels must be 2 to {MAX_LEVELS}, got {n_levels}")
    if not histogram.counts.any(axis=1).all():
        raise ValueError(f"feature {int(np.argmin(histogram.counts.any(axis=1)))} has no values")
    atoms = _atoms_of(histogram)
    even, companded = (
        _settled(atoms, cuts, max_iterations) for cuts in _first_cuts(atoms, histogram, n_levels)
    )
    better = _squared_error(atoms, companded) <= _squared_error(atoms, even)
    cuts = np.where(better[:, None], companded, even)
    return _in_values(_centroids(atoms, cuts), histogram)


def _settled(atoms: _Atoms, cuts: Ints, max_iterations: int) -> Ints:
    """Lloyd's method from ``cuts`` (D, L + 1), feature by feature until nothing changes."""
    cuts = cuts.copy()
    moving = np.flatnonzero(atoms.n_atoms > cuts.shape[1] - 1)
    for _ in range(max_iterations):
        if not moving.size:
            break
        some = _Atoms._make(field[moving] for field in atoms)
        moved = _filled(_nearest_cuts(some, _centroids(some, cuts[moving])), some.n_atoms)
        changed = (moved != cuts[moving]).any(axis=1)
        cuts[moving] = moved
        moving = moving[changed]
    return cuts


class _Atoms(NamedTuple):
    """The bins that hold values, in rising order; places are in bins from the low end."""

    place: Floats  # (D, K), mean of the values of each bin
    held: NDArray[np.bool_]  # (D, K), whether a bin holds values
    before: Ints  # (D, K), atoms below each bin
    n_atoms: Ints  # (D,)
    counts: Floats  # (D, K + 1), values in the first i atoms
    moments: Floats  # (D, K + 1), sum of their places
    squares: Floats  # (D, K + 1), sum of the squares of their places


def _atoms_of(histogram: Histogram) -> _Atoms:
    place, held = bin_centroids(histogram), histogram.counts > 0
    order = np.argsort(~held, axis=1, kind="stable")
    counts = np.take_along_axis(histogram.counts, order, axis=1).astype(np.float64)
    places = np.take_along_axis(place, order, axis=1)
    sums = (counts, counts * places, counts * places**2)
    up_to = [np.pad(np.cumsum(one, axis=1), ((0, 0), (1, 0))) for one in sums]
    before = held.cumsum(axis=1) - held
    return _Atoms(place, held, before, held.sum(axis=1), *up_to)


def _first_cuts(atoms: _Atoms, histogram: Histogram, n_levels: int) -> tuple[Ints, Ints]:
    """Cells to start from, (D, L + 1) each: cell i holds atoms cuts[i] to cuts[i + 1] - 1."""
    steps = np.arange(1, n_levels) / n_levels
    shares = np.cbrt(_density(histogram.counts, n_levels)).cumsum(axis=1)  # (D, K)
    # Bins that end below the quantile j / L of the cube roots are below cut j.
    companded = np.stack([np.searchsorted(row, steps * row[-1]) for row in shares])
    even = np.broadcast_to((steps * histogram.counts.shape[1]).astype(np.int64), companded.shape)
    return _cuts_below(atoms, even), _cuts_below(atoms, companded)


def _cuts_below(atoms: _Atoms, bins: Ints) -> Ints:
    """Cuts below ``bins`` (D, L - 1), and no dead cell."""
    inner = np.take_along_axis(atoms.before, bins, axis=1)
    return _filled(_bordered(inner, atoms.n_atoms), atoms.n_atoms)


def _density(counts: Ints, n_levels: int) -> Floats:
    """Means of ``counts`` (D, K) over windows of a 64th of the range.

    The cube root of the counts of single bins, most of them 0 or 1 where data are few, would be
    the density of a few values, not of what they come from. A bin with more than an L-th of all
    values, such as the zero of a ReLU, needs one level however many it holds.
    """
    window = counts.shape[1] // _WINDOWS | 1  # odd, so that it has a middle
    even = np.minimum(counts, counts.sum(axis=1, keepdims=True) / n_levels)
    return np.asarray(uniform_filter1d(even, window, axis=1, mode="constant").clip(0))


def _nearest_cuts(atoms: _Atoms, levels: Floats) -> Ints:
    """Cells of the atoms nearest to each of ``levels`` (D, L); of two as near, to the upper."""
    thresholds = (levels[:, 1:] + levels[:, :-1]) / 2
    bins = np.minimum(thresholds.astype(np.int64), atoms.place.shape[1] - 1)
    below = np.take_along_axis(atoms.place, bins, axis=1) < thresholds
    below &= np.take_along_axis(atoms.held, bins, axis=1)
    return _bordered(np.take_along_axis(atoms.before, bins, axis=1) + below, atoms.n_atoms)


def _bordered(inner: Ints, n_atoms: Ints) -> Ints:
    """``inner`` cuts (D, L - 1) with those before the first and after the last atom."""
    return np.column_stack([np.zeros_like(n_atoms), inner, n_atoms])


def _filled(cuts: Ints, n_atoms: Ints) -> Ints:
    """``cuts`` (D, L + 1) without a dead cell: one takes an atom of its neighbour.

    Every cut that there was stays one (of another number), so cells are only split and the error
    does not rise. With fewer atoms than cells each atom is a cell and the last cells are empty.
    """
    numbers = np.arange(cuts.shape[1])
    n_cells, n_atoms = cuts.shape[1] - 1, n_atoms[:, None]
    filled = np.maximum.accumulate(cuts - numbers, axis=1) + numbers
    filled = np.minimum(filled, n_atoms - n_cells + numbers)
    return np.where(n_atoms > n_cells, filled, np.minimum(numbers, n_atoms))


def _centroids(atoms: _Atoms, cuts: Ints) -> Floats:
    """Mean of each cell, (D, L), in bins; that of the last cell with values where there is none."""
    count, moment = _in_cells(atoms.counts, cuts), _in_cells(atoms.moments, cuts)
    means = np.divide(moment, count, out=np.zeros_like(moment), where=count > 0)
    return np.maximum.accumulate(means, axis=1)


def _squared_error(atoms: _Atoms, cuts: Ints) -> Floats:
    """Sum of squared distances of the values from the means of their cells, (D,), in bins²."""
    count, moment = _in_cells(atoms.counts, cuts), _in_cells(atoms.moments, cuts)
    square = _in_cells(atoms.squares, cuts)
    return np.asarray((square - moment**2 / np.maximum(count, 1)).sum(axis=1))


def _in_cells(sums: Floats, cuts: Ints) -> Floats:
    """Sum over each cell, (D, L), of what ``sums`` (D, K + 1) hold of the first atoms."""
    return np.diff(np.take_along_axis(sums, cuts, axis=1))


def _in_values(places: Floats, histogram: Histogram) -> Codebook:
    """Codebook of the levels at ``places`` (D, L), in bins."""
    low, high = (end.astype(np.float64)[:, None] for end in histogram.range)
    share = places / histogram.counts.shape[1]
    levels = (low * (1 - share) + high * share).astype(np.float32)
    exact = levels.astype(np.float64)
    bounds = np.column_stack(histogram.range)
    return Codebook(levels, (exact[:, 1:] + exact[:, :-1]) / 2, bounds)
