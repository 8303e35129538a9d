"""In which order a pass sees the training videos: another each time, the same for all blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.chunks import Chunk

__all__ = ["videos_of_pass"]


def videos_of_pass(
    sizes: Sequence[int],
    read: Callable[[int, NDArray[np.int64]], Chunk],
    seed: int,
    epoch: int,
    skip: int = 0,
) -> Iterator[Chunk]:
    """Chunks of a pass: the shards in random order, and in each the videos.

    Parameters
    ----------
    sizes : sequence of int
        Videos of each shard.
    read : function
        Gives the videos of a shard, told by its number and their places in it, in that order.
    seed, epoch : int
        Which order; nothing else has a say in it.
    skip : int
        Leave out so many videos at the front, those a training that was stopped has done.
    """
    for number in np.random.default_rng([seed, epoch]).permutation(len(sizes)).tolist():
        if skip >= sizes[number]:
            skip -= sizes[number]
            continue
        rows = np.random.default_rng([seed, epoch, number]).permutation(sizes[number])
        yield read(number, rows[skip:])
        skip = 0
