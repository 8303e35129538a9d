"""The K largest values of every column (the ordinal statistics of paper Eq. 2).

Columns are sorted by networks of comparators: fixed lists of pairs, of which each pair puts its
larger value first. One comparator is one `numpy.maximum` and one `numpy.minimum` of whole slabs of
rows, tens of kilobytes at once, so that nothing is done value by value. Three steps:

1. cut the rows into G slabs, G the power of two at or above K, and sort across them: every
   position of a slab now heads a descending list of G values, of which the first K stay;
2. merge the lists of the lower half of positions into those of the upper half. Of two descending
   lists a and b the K largest are max(a[i], b[K - 1 - i]): they fall and then rise, a valley;
3. sort the valleys, which takes far fewer comparators than any order; back to 2 until one list
   is left.

Axes: F rows (frames), W columns, K largest, G slabs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.scratch import scratch_array

__all__ = ["LargestValues", "least_value"]

Number = TypeVar("Number", np.uint8, np.float32, np.float64)
# Positions i and j: the larger value to i, the smaller to j.
Network = tuple[tuple[int, int], ...]


class LargestValues(Generic[Number]):
    """The ``k`` largest of each column of several blocks that are added one by one.

    Blocks of about 256 KiB stay in a core's cache; together they share the last steps, whose
    arrays are small.

    One at a time in a thread: its memory is that of the one before (see `scratch`).

    Parameters
    ----------
    k : int
        At least 1.
    n_rows, n_columns : int
        Rows of the tallest block, at least 1, and columns of all blocks together.
    dtype : type
        `numpy.uint8`, `numpy.float32` or `numpy.float64`.

    Raises
    ------
    ValueError
        If ``k`` or ``n_rows`` is below 1.
    """

    def __init__(self, k: int, n_rows: int, n_columns: int, dtype: type[Number]) -> None:
        if k < 1 or n_rows < 1:
            raise ValueError(f"k and n_rows must be at least 1, got {k} and {n_rows}")
        height = _half(_slab_height(n_rows, k)) if k > 1 else 1
        self.valleys: NDArray[Number] = scratch_array(
            "largest.valleys", (k, height, n_columns), dtype
        )
        self.filled = 0

    def add(self, block: NDArray[Number]) -> None:
        """Take the next columns, ``block`` (F >= 1, W)."""
        start, self.filled = self.filled, self.filled + block.shape[1]
        valleys = self.valleys[:, :, start : self.filled]
        if len(valleys) == 1:  # sorting would be wasted
            valleys[0] = block.max(axis=0)
            return
        lists = _sorted_slabs(block, len(valleys))
        height = _half(len(lists[0]))
        _merge_halves(lists, valleys[:, :height])
        valleys[:, height:] = least_value(block.dtype)

    def result(self) -> NDArray[Number]:
        """Largest first, (k, columns), of all columns added; for once, it uses the blocks up.

        What a block of fewer rows than k lacks is the `least_value` of the dtype.
        """
        network, order = _valley_network(len(self.valleys))
        lists = list(self.valleys)
        spare = scratch_array("largest.spare", lists[0].shape, lists[0].dtype.type)
        while True:
            spare = _exchange(lists, spare, network)
            lists = [lists[i] for i in order]
            height = _half(len(spare))
            if len(spare) == 1:
                return np.concatenate(lists)
            _merge_halves(lists, lists)
            lists = [values[:height] for values in lists]
            spare = spare[:height]


def least_value(dtype: np.dtype[Any]) -> float:
    """The least value of ``dtype``, which wins against none: 0 of bytes, -inf of floats."""
    return 0 if dtype == np.uint8 else -np.inf


def _merge_halves(lists: Sequence[NDArray[Number]], out: Iterable[NDArray[Number]]) -> None:
    """Step 2, into ``out``, which may be ``lists``.

    The middle position of an odd number has no partner. Its list goes through the network of
    the others, which leaves a descending list as it is.
    """
    height = len(lists[0])
    pairs, rest = height // 2, _half(height)
    for upper, lower, valley in zip(lists, reversed(lists), out, strict=True):
        np.maximum(upper[:pairs], lower[rest:], out=valley[:pairs])
        if rest > pairs and valley is not upper:
            valley[pairs] = upper[pairs]


def _sorted_slabs(rows: NDArray[Number], keep: int) -> list[NDArray[Number]]:
    """Step 1: ``keep`` slabs, the values at a position descending from slab to slab."""
    network = _sorting_network(keep)
    n_slabs = _power_of_two(keep)
    height = _slab_height(len(rows), keep)
    slabs = _cut(rows, height, n_slabs)
    # The first layer of the network is (0, 1), (2, 3), ...: it leaves `rows` as they are.
    *lists, spare = scratch_array(
        "largest.slabs", (n_slabs + 1, height, rows.shape[1]), rows.dtype.type
    )
    for i in range(0, n_slabs, 2):
        np.maximum(slabs[i], slabs[i + 1], out=lists[i])
        np.minimum(slabs[i], slabs[i + 1], out=lists[i + 1])
    _exchange(lists, spare, network)
    return lists[:keep]


def _exchange(
    lists: list[NDArray[Number]], spare: NDArray[Number], network: Network
) -> NDArray[Number]:
    """Run ``network`` on ``lists`` in place; returns the array that is spare afterwards."""
    for i, j in network:
        first, second = lists[i], lists[j]
        np.maximum(first, second, out=spare)
        np.minimum(first, second, out=second)
        lists[i], spare = spare, first
    return spare


def _cut(rows: NDArray[Number], height: int, n_slabs: int) -> list[NDArray[Number]]:
    """Slabs of ``height`` rows; the last ones filled up with values that win against none."""
    n_full = len(rows) // height
    slabs = [rows[i * height : (i + 1) * height] for i in range(n_full)]
    rest = rows[n_full * height :]
    last = scratch_array(
        "largest.last", ((n_slabs - n_full) * height, rows.shape[1]), rows.dtype.type
    )
    last[: len(rest)] = rest
    last[len(rest) :] = least_value(rows.dtype)
    return slabs + [last[i : i + height] for i in range(0, len(last), height)]


def _slab_height(n_rows: int, k: int) -> int:
    return -(-n_rows // _power_of_two(k))


def _half(n: int) -> int:
    """Half of ``n``, rounded up."""
    return (n + 1) // 2


def _power_of_two(n: int) -> int:
    """The least power of two that is at least ``n``."""
    return 1 << (n - 1).bit_length()


@lru_cache
def _sorting_network(keep: int) -> Network:
    """Batcher's odd-even merge sort of G positions, for those who want the ``keep`` largest.

    The first layer is left out: it is (0, 1), (2, 3), ... .
    """
    n = _power_of_two(keep)
    pairs = []
    p = 2
    while p < n:
        for k in (p >> shift for shift in range(p.bit_length())):
            for j in range(k % p, n - k, 2 * k):
                for i in range(j, min(j + k, n - k)):
                    if i // (2 * p) == (i + k) // (2 * p):
                        pairs.append((i, i + k))
        p *= 2
    wanted, needed = set(range(keep)), []
    for pair in reversed(pairs):
        if wanted.intersection(pair):
            needed.append(pair)
            wanted.update(pair)
    return tuple(reversed(needed))


@lru_cache
def _valley_network(n: int) -> tuple[Network, tuple[int, ...]]:
    """Comparators that sort ``n`` values which fall and then rise, and where each then lies.

    This is Batcher's bitonic merge for any length: filled up with infinity at the end, a valley
    is one that falls, rises and falls around a circle; the fill needs no comparator.
    """
    pairs: list[tuple[int, int]] = []

    def sort(positions: tuple[int, ...]) -> tuple[int, ...]:
        if len(positions) < 2:
            return positions
        half = _power_of_two(len(positions)) // 2
        larger, smaller = positions[:-half], positions[half:]
        between = positions[len(larger) : half]
        pairs.extend(zip(larger, smaller, strict=True))
        return sort(larger) + sort(smaller + between)

    order = sort(tuple(range(n)))
    return tuple(pairs), order
