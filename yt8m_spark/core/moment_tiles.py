"""A covariance too wide for one memory, cut into tiles on storage (for the PCA of paper §4.2.2).

The columns are cut into S strips. Tile (i, j), i <= j, is the scatter of strip i with strip j:
``tile-<i>-<j>.npy``, float64, beside ``mean-<i>.npy``. The other half is its mirror.

Axes: V videos, D features, W features of a strip.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.moments import CHUNK_ROWS, ChunkMeans

__all__ = [
    "CrossSums",
    "TiledMoments",
    "mean_path",
    "strip_edges",
    "tile_numbers",
    "tile_path",
]

Floats = NDArray[np.float64]


def strip_edges(width: int, strip: int) -> list[int]:
    """Where strips of ``strip`` columns, the last one of what is left, begin and end: S + 1."""
    return [*range(0, width, strip), width]


def tile_numbers(n_strips: int) -> list[tuple[int, int]]:
    """Tiles (i, j), i <= j, of S strips: S (S + 1) / 2."""
    return [(i, j) for i in range(n_strips) for j in range(i, n_strips)]


class CrossSums:
    """Scatter of one strip of columns with another, of rows that come in pieces.

    Holds 12 W² + 8,192 W bytes. Accuracy and way are those of `core.moments.MomentSums`.

    Parameters
    ----------
    left, right : int
        W of the two strips.
    """

    def __init__(self, left: int, right: int) -> None:
        widths = (left, right)
        self._rows = [np.empty((CHUNK_ROWS, width), np.float32) for width in widths]
        self._means = [ChunkMeans(width) for width in widths]
        self._filled = 0
        self._product = np.zeros((left, right), np.float32)
        self._scatter = np.zeros((left, right))

    def add(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> None:
        """Count rows (V, W) of the two strips, of the same videos.

        Raises
        ------
        ValueError
            If a value is NaN or infinite.
        """
        start = 0
        while start < len(left):
            stop = min(start + CHUNK_ROWS - self._filled, len(left))
            filled = slice(self._filled, self._filled + stop - start)
            self._rows[0][filled] = left[start:stop]
            self._rows[1][filled] = right[start:stop]
            self._filled, start = filled.stop, stop
            if self._filled == CHUNK_ROWS:
                self._multiply()

    def total(self) -> Floats:
        """Scatter (W, W) of all rows so far. It ends the sums."""
        self._multiply()
        self._fold()
        return self._scatter

    def _multiply(self) -> None:
        if not self._filled:
            return
        left, right = (rows[: self._filled] for rows in self._rows)
        self._means[0].centre(left)
        self._means[1].centre(right)
        np.matmul(left.T, right, out=self._product)
        self._scatter += self._product
        self._filled = 0
        if self._means[0].full:
            self._fold()

    def _fold(self) -> None:
        (left, left_off), (right, right_off) = (means.fold() for means in self._means)
        self._scatter += left.T @ right
        self._scatter -= left_off.T @ right_off


class TiledMoments:
    """Moments whose tiles are mapped into memory as they are used, never all held.

    Parameters
    ----------
    folder : str
        Of the files of tiles and means.
    n : int
        Rows that were counted.
    edges : list of int
        See `strip_edges`.
    """

    rounding = float(np.finfo(np.float32).eps)  # see `Moments.rounding`

    def __init__(self, folder: str, n: int, edges: list[int]) -> None:
        self.folder = folder
        self.n = n
        self.edges = edges

    @property
    def width(self) -> int:
        """D."""
        return self.edges[-1]

    @cached_property
    def mean(self) -> Floats:
        """(D,)."""
        strips = range(len(self.edges) - 1)
        paths = [mean_path(self.folder, strip) for strip in strips]
        return np.concatenate([np.load(path, allow_pickle=False) for path in paths])

    @cached_property
    def variances(self) -> Floats:
        """(D,), divisor n: the diagonal of the covariance."""
        diagonals = [np.diagonal(tile) for (i, j), tile in self._tiles() if i == j]
        return np.concatenate(diagonals) / self.n

    def covariance_times(self, vectors: Floats) -> Floats:
        """Product (D,) or (D, k) of the covariance with ``vectors`` of that shape."""
        product: Floats = np.zeros_like(vectors, dtype=np.float64)
        for (i, j), tile in self._tiles():
            rows, columns = self._strip(i), self._strip(j)
            product[rows] += tile @ vectors[columns]
            if i != j:
                product[columns] += tile.T @ vectors[rows]
        product /= self.n
        return product

    def _strip(self, number: int) -> slice:
        return slice(self.edges[number], self.edges[number + 1])

    def _tiles(self) -> Iterator[tuple[tuple[int, int], Floats]]:
        for i, j in tile_numbers(len(self.edges) - 1):
            yield (i, j), np.load(tile_path(self.folder, i, j), mmap_mode="r", allow_pickle=False)


def tile_path(folder: str, i: int, j: int) -> Path:
    """File of tile (i, j)."""
    return Path(folder) / f"tile-{i:03d}-{j:03d}.npy"


def mean_path(folder: str, strip: int) -> Path:
    """File of the mean of a strip."""
    return Path(folder) / f"mean-{strip:03d}.npy"
