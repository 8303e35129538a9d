"""Batches of frames for a rank: from its shards to tensors, in any epoch from any step on.

Reader processes read whole windows (`windows`) ahead, choose frames, shuffle and lay them out
(`packing`); the rank's process only cuts batches off them. Frames stay uint8, a quarter of the
bytes, until they are on the device.

Axes: B videos of a rank in a step, F frames, D features of all lists, E entities, L labels of a
batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import DataLoader

from yt8m_spark.deep.feed_options import FeedOptions
from yt8m_spark.deep.order import share_videos
from yt8m_spark.deep.packing import Packed, Part, cut_parts, join_parts
from yt8m_spark.deep.shard_index import ShardIndex
from yt8m_spark.deep.windows import WindowKeys, Windows
from yt8m_spark.errors import InputError

__all__ = ["Batch", "Feed", "FeedOptions"]

# Windows that each reader has ready: one is being used, one waits, so that a small one, which is
# used up sooner, does not keep anyone waiting.
_WINDOWS_AHEAD = 2


class Batch(NamedTuple):
    """Videos of a rank for one step."""

    codes: torch.Tensor  # (B, F, D) uint8; anything may stand after a video's frames
    n_frames: torch.Tensor  # (B,) int64; 0: a video without frames
    label_rows: torch.Tensor  # (L,) int64, which of the B videos
    label_columns: torch.Tensor  # (L,) int64, which of the E entities
    epoch: int
    step: int  # of the epoch
    n_videos_of_step: int  # over all ranks


class Feed:
    """The batches of one rank.

    Parameters
    ----------
    index : ShardIndex
        The same for all ranks, as `options` are.
    entities : (E,) int
        Ids of the entities, ascending; labels of others are left out.
    options : FeedOptions
    rank, world_size : int
    pin_memory : bool
        Whether batches are in page-locked memory, from which a GPU copies while it computes.

    Raises
    ------
    InputError
        If there are fewer shards or videos than ranks, the ranks cannot share ``batch_size``
        equally, or ``entities`` do not ascend.
    """

    def __init__(
        self,
        index: ShardIndex,
        entities: ArrayLike,
        options: FeedOptions,
        rank: int = 0,
        world_size: int = 1,
        pin_memory: bool = False,
    ) -> None:
        self.shares = share_videos(index.counts, world_size, options.batch_size)
        self._options, self._pin_memory = options, pin_memory
        self._windows = Windows(index, _ascending(entities), options, self.shares, rank)
        self._keys = WindowKeys(self._windows)
        self._loader: DataLoader[Packed | InputError] | None = None

    @property
    def n_steps(self) -> int:
        """Steps of an epoch, the same for all ranks."""
        return self.shares.n_steps

    def batches(self, epoch: int, step: int, n_epochs: int) -> Iterator[Batch]:
        """Batches from step ``step`` of ``epoch`` on to the end of epoch ``n_epochs`` - 1.

        They are those that would have come had it begun at 0, 0, for any number of readers; what
        comes before is not read, but for the window in which the step stands. Epochs and steps
        count from 0. Of one feed only the newest iterator may be used.

        Raises
        ------
        ValueError
            If an epoch has no such step.
        InputError
            For a damaged shard, or a video without frames if those are refused; it names the file,
            and the record or row.
        RuntimeError
            PyTorch's, whatever the process is doing, if a reader was killed: as when memory or
            /dev/shm is full, of which fewer ``shuffle_videos`` or ``n_readers`` take less.
        """
        if not 0 <= step <= self.n_steps:
            raise ValueError(f"step must be 0 to {self.n_steps}, got {step}")
        keys = self._keys.begin(epoch, step, n_epochs)
        held: list[Part] = []
        for (at_epoch, number), packed in zip(keys, self._read_ahead(), strict=True):
            if isinstance(packed, InputError):
                # A new one: a frame that holds what it raises is freed, with the readers, in no
                # order, in which PyTorch waits 5 seconds for each.
                raise InputError(str(packed))
            steps, is_end = self._windows.steps_of(at_epoch, number)
            parts = cut_parts(packed, self._options.width)
            for part, part_step, ends in zip(parts, steps, is_end, strict=True):
                if at_epoch == epoch and part_step < step:
                    continue
                held.append(part)
                if ends:
                    yield self._batch(held, at_epoch, part_step)
                    held = []

    def _batch(self, held: Sequence[Part], epoch: int, step: int) -> Batch:
        part = join_parts(held, pin_memory=self._pin_memory)
        return Batch(*part, epoch, step, self.shares.step_videos(step))

    def _read_ahead(self) -> DataLoader[Packed | InputError]:
        """The loader, whose processes stay from one call to the next."""
        if self._loader is None:
            self._loader = self._new_loader()
        return self._loader

    def _new_loader(self) -> DataLoader[Packed | InputError]:
        n_readers = self._options.n_readers
        return DataLoader(
            self._windows,
            batch_size=None,
            sampler=self._keys,
            num_workers=n_readers,
            prefetch_factor=_WINDOWS_AHEAD if n_readers else None,
            persistent_workers=n_readers > 0,
            pin_memory=self._pin_memory,
            collate_fn=_as_it_is,
            # One of its own: it draws a seed at each start, and a training that goes on must find
            # PyTorch's generator as it left it.
            generator=torch.Generator(),
        )


def _ascending(entities: ArrayLike) -> NDArray[np.int64]:
    found = np.asarray(entities, np.int64)
    if found.ndim != 1 or not len(found) or (np.diff(found) <= 0).any():
        raise InputError("entities of a feed", expected="ids that ascend", found=found[:5])
    return found


def _as_it_is(item: Any) -> Any:
    return item
