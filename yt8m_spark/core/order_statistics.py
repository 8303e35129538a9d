"""Smallest, largest and K largest values over frames (paper §4.2.2, Eq. 2).

Axes: V videos, F frames, D features, K ordinal statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.frame_blocks import FrameBlock, Shelf
from yt8m_spark.core.largest import LargestValues, least_value
from yt8m_spark.core.statistic_names import n_ranks, top_k

__all__ = ["OrderStatistics"]

Number = TypeVar("Number", np.uint8, np.float32, np.float64)


class OrderStatistics(Generic[Number]):
    """Statistics that are values of frames, of the blocks of a shelf, added one by one.

    Parameters
    ----------
    shelf : Shelf
        All of its blocks must be added, in their order.
    statistics : sequence of str
        What is asked for; others than "min", "max" and "top<K>" are passed over.
    """

    def __init__(self, shelf: Shelf[Number], statistics: Sequence[str]) -> None:
        self.lengths = shelf.lengths
        self.n_features = shelf.blocks[0].rows.shape[2]
        self.smallest: list[NDArray[Number]] | None = [] if "min" in statistics else None
        self.ranks = {name: n_ranks(name) for name in statistics if name == "max" or top_k(name)}
        self.largest: LargestValues[Number] | None = None
        if self.ranks:
            tallest = max(len(block.rows) for block in shelf.blocks)
            n_columns = len(shelf.videos) * self.n_features
            dtype = shelf.blocks[0].rows.dtype.type
            self.largest = LargestValues(max(self.ranks.values()), tallest, n_columns, dtype)

    def add(self, block: FrameBlock[Number]) -> None:
        """Take the next block; rows below a shorter video are overwritten."""
        if self.smallest is not None:  # before `fill`: these rows repeat the last frame
            self.smallest.append(block.columns.min(axis=0))
        if self.largest is not None:
            block.fill(least_value(block.rows.dtype))
            self.largest.add(block.columns)

    def result(self) -> dict[str, NDArray[Number]]:
        """By name (K, V, D), best first; fewer than K frames repeat the smallest."""
        out = {}
        if self.smallest is not None:
            out["min"] = np.concatenate(self.smallest).reshape(1, -1, self.n_features)
        if self.largest is not None:
            ranked = self.largest.result()
            ranked = ranked.reshape(len(ranked), -1, self.n_features)
            for video in np.flatnonzero(self.lengths < len(ranked)):
                n_frames = self.lengths[video]
                ranked[n_frames:, video] = ranked[n_frames - 1, video]
            out |= {name: ranked[:k] for name, k in self.ranks.items()}
        return out
