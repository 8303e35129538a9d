"""In which order an epoch sees the videos: another each time, shared out evenly over the ranks.

Shards are units of so many videos. An epoch puts them in random order, which makes one sequence of
all videos; each rank takes a stretch of it, cuts the stretch into windows that fit into memory, and
shuffles each window. All of it follows from the seed, the epoch and the rank: nobody has to tell
anybody else, and a training that was stopped goes on from any step.

Axes: V videos, U units, W ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError

__all__ = ["Piece", "Shares", "Window", "rank_windows", "share_videos", "window_order"]

Ints = NDArray[np.int64]


class Piece(NamedTuple):
    """Videos ``start`` to ``stop`` - 1 of a unit."""

    unit: int
    start: int
    stop: int

    @property
    def n_videos(self) -> int:
        """How many they are."""
        return self.stop - self.start


class Window(NamedTuple):
    """Videos of a rank that are in memory, and shuffled, together."""

    first: int  # how many videos of the rank come before it
    pieces: tuple[Piece, ...]

    @property
    def n_videos(self) -> int:
        """How many it has."""
        return sum(piece.n_videos for piece in self.pieces)


class Shares(NamedTuple):
    """How the videos of an epoch fall to ranks and steps; the same in every epoch.

    Every rank takes as many steps, and every step has a video for every rank, so that none waits
    for another. The ranks' videos differ by one at most, and that one is in the last step: all
    others have `rank_batch` videos a rank, the last one 1 to `rank_batch` + 1.
    """

    n_videos: int
    world_size: int
    batch_size: int  # of a step, over all ranks

    @property
    def rank_batch(self) -> int:
        """Videos of a rank in a step that is not the last."""
        return self.batch_size // self.world_size

    @property
    def n_steps(self) -> int:
        """Steps of an epoch."""
        return -(-(self.n_videos // self.world_size) // self.rank_batch)

    def of_rank(self, rank: int) -> tuple[int, int]:
        """First video of ``rank`` in the epoch's sequence, and the first that is the next one's."""
        return (
            self.n_videos * rank // self.world_size,
            self.n_videos * (rank + 1) // self.world_size,
        )

    def step_videos(self, step: int) -> int:
        """Videos of ``step`` over all ranks."""
        last = self.n_steps - 1
        return self.batch_size if step < last else self.n_videos - last * self.batch_size

    def batch_ends(self, rank: int) -> Ints:
        """Videos of ``rank`` up to the end of each step, (n_steps,)."""
        start, stop = self.of_rank(rank)
        return np.append(np.arange(1, self.n_steps) * self.rank_batch, stop - start)


def share_videos(counts: Ints, world_size: int, batch_size: int) -> Shares:
    """How the videos of the units are shared out.

    Parameters
    ----------
    counts : (U,) int64
        Videos of each unit.
    world_size : int
        W, the ranks.
    batch_size : int
        Videos of a step over all ranks.

    Raises
    ------
    InputError
        If there are fewer units or fewer videos than ranks, or the ranks cannot have equal shares
        of ``batch_size``.
    """
    if len(counts) < world_size:
        raise InputError(
            "fewer shards than ranks",
            where="input",
            expected=f"{world_size} shards or more: fewer processes, or the table in more files",
            found=len(counts),
        )
    n_videos = int(counts.sum())
    if n_videos < world_size:
        raise InputError(
            "fewer videos than ranks",
            where="input",
            expected=f"{world_size} videos or more: fewer processes",
            found=n_videos,
        )
    if batch_size < 1 or batch_size % world_size:
        expected = f"a multiple of the {world_size} ranks: it is shared by them"
        raise InputError("wrong batch size", expected=expected, found=batch_size)
    return Shares(n_videos, world_size, batch_size)


def rank_windows(
    counts: Ints, span: tuple[int, int], *, seed: int, epoch: int, shuffle_videos: int
) -> list[Window]:
    """Windows of an epoch for the rank whose videos are ``span`` of the sequence.

    Parameters
    ----------
    counts : (U,) int64
        Videos of each unit.
    span : (int, int)
        `Shares.of_rank`.
    seed, epoch : int
        Which order the units have.
    shuffle_videos : int
        Videos of a window at most. A window ends where a unit does, so that none is read twice;
        but a unit that is larger is cut into windows of about equal size.
    """
    windows: list[Window] = []
    held: list[Piece] = []
    first = n_held = 0
    for piece in _cut_pieces(counts, span, np.random.default_rng([seed, epoch]), shuffle_videos):
        if held and n_held + piece.n_videos > shuffle_videos:
            windows.append(Window(first, tuple(held)))
            held, first, n_held = [], first + n_held, 0
        held.append(piece)
        n_held += piece.n_videos
    if held:
        windows.append(Window(first, tuple(held)))
    return windows


def window_order(n_videos: int, *, seed: int, epoch: int, rank: int, window: int) -> Ints:
    """Order of the ``n_videos`` videos of a window, (n_videos,)."""
    return np.random.default_rng([seed, epoch, rank, window]).permutation(n_videos)


def _cut_pieces(
    counts: Ints, span: tuple[int, int], rng: np.random.Generator, largest: int
) -> Iterator[Piece]:
    """Pieces of at most ``largest`` videos that make up ``span``, units in random order."""
    units = rng.permutation(len(counts))
    ends = np.cumsum(counts[units])
    first, last = np.searchsorted(ends, span[0], "right"), np.searchsorted(ends, span[1], "left")
    for place in range(int(first), min(int(last) + 1, len(units))):
        unit, begin = int(units[place]), int(ends[place] - counts[units[place]])
        start, stop = max(span[0] - begin, 0), min(span[1] - begin, int(counts[unit]))
        n_cuts = -(-(stop - start) // largest)
        cuts = [start + (stop - start) * cut // max(n_cuts, 1) for cut in range(n_cuts + 1)]
        yield from (Piece(unit, *ends) for ends in pairwise(cuts))
