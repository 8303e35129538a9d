"""The windows of a rank: read, their frames chosen, shuffled and laid out, in whichever process.

Axes: V videos, F frames, D features of all lists, E entities, L labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from yt8m_spark.deep.feed_options import FeedOptions
from yt8m_spark.deep.order import Shares, Window, rank_windows, window_order
from yt8m_spark.deep.packing import Packed, pack_window
from yt8m_spark.deep.read_frames import (
    FrameKey,
    Video,
    choose_stretch,
    choose_with_repeats,
    read_videos,
)
from yt8m_spark.deep.shard_index import ShardIndex
from yt8m_spark.errors import InputError

__all__ = ["WindowKeys", "Windows"]

Ints = NDArray[np.int64]
Codes = NDArray[np.uint8]
Key = tuple[int, int]  # epoch and window


class Windows(Dataset["Packed | InputError"]):
    """The windows of a rank by epoch and number, read and packed where they are asked for."""

    def __init__(
        self,
        index: ShardIndex,
        entities: Ints,
        options: FeedOptions,
        shares: Shares,
        rank: int,
    ) -> None:
        self._index, self._entities, self._options = index, entities, options
        self._rank, self._span = rank, shares.of_rank(rank)
        self._counts, self.ends = index.counts, shares.batch_ends(rank)
        self._known: dict[int, list[Window]] = {}

    def __getitem__(self, key: Key) -> Packed | InputError:
        """A window; what is wrong with the data comes as a value, a line, not a traceback."""
        try:
            return self._read(*key)
        except InputError as error:
            return error

    def of_epoch(self, epoch: int) -> list[Window]:
        """The windows of an epoch; known ones are kept, two epochs may be under way at once."""
        if epoch not in self._known:
            self._known = dict(list(self._known.items())[-1:])
            self._known[epoch] = rank_windows(
                self._counts,
                self._span,
                seed=self._options.seed,
                epoch=epoch,
                shuffle_videos=self._options.shuffle_videos,
            )
        return self._known[epoch]

    def steps_of(self, epoch: int, number: int) -> tuple[list[int], list[bool]]:
        """Step of each part of a window, and whether the step's batch ends with it."""
        window = self.of_epoch(epoch)[number]
        cuts = self._cuts(window)
        steps = np.searchsorted(self.ends, window.first + cuts[:-1], "right")
        return steps.tolist(), (self.ends[steps] == window.first + cuts[1:]).tolist()

    def _cuts(self, window: Window) -> Ints:
        """Where the parts of a window start, and where the last ends."""
        ends = self.ends - window.first
        inside = ends[(ends > 0) & (ends < window.n_videos)]
        return np.concatenate([[0], inside, [window.n_videos]])

    def _read(self, epoch: int, number: int) -> Packed:
        window = self.of_epoch(epoch)[number]
        frames, labels = [], []
        for piece in window.pieces:
            unit = self._index.units[piece.unit]
            for video in read_videos(unit, piece.start, piece.stop, self._options.widths):
                frames.append(self._choose(video, epoch))
                labels.append(video.labels)
        order = window_order(
            len(frames), seed=self._options.seed, epoch=epoch, rank=self._rank, window=number
        )
        known = _places(labels, self._entities)
        return pack_window(frames, known, order, self._cuts(window).tolist())

    def _choose(self, video: Video, epoch: int) -> tuple[Codes, ...]:
        """Frames of a video in this epoch, list by list."""
        options, n_available = self._options, video.n_frames
        if not n_available:
            if options.without_frames == "refuse":
                where = f"{video.where}, video {video.video_id}"
                raise InputError("video without frames", where=where, expected="one at least")
            return tuple(codes[:0] for codes in video.lists)
        if options.sampling == "all":
            return tuple(codes[:n_available] for codes in video.lists)
        key = FrameKey(options.seed, epoch, video.video_id)
        if options.sampling == "random":
            chosen = choose_with_repeats(n_available, options.n_frames, key)
            return tuple(codes[chosen] for codes in video.lists)
        stretch = choose_stretch(n_available, options.n_frames, key)
        return tuple(codes[stretch] for codes in video.lists)


class WindowKeys:
    """Which windows come, in order; where they begin is told before each pass."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._span = 0, 0, 0

    def begin(self, epoch: int, step: int, n_epochs: int) -> WindowKeys:
        """Let the next pass begin with the window of ``step`` in ``epoch``."""
        self._span = epoch, step, n_epochs
        return self

    def __iter__(self) -> Iterator[Key]:
        epoch, step, n_epochs = self._span
        n_done = self._windows.ends[step - 1] if step else 0
        for at_epoch in range(epoch, n_epochs):
            for number, window in enumerate(self._windows.of_epoch(at_epoch)):
                if at_epoch > epoch or window.first + window.n_videos > n_done:
                    yield at_epoch, number


def _places(labels: Sequence[Ints], entities: Ints) -> tuple[Ints, Ints]:
    """Labels of some videos as places of ``entities`` (E,), others left out; offsets first."""
    flat = np.concatenate([*labels, np.empty(0, np.int64)])
    videos = np.repeat(np.arange(len(labels)), [len(values) for values in labels])
    places = np.minimum(np.searchsorted(entities, flat), len(entities) - 1)
    known = entities[places] == flat
    counts = np.bincount(videos[known], minlength=len(labels))
    return np.concatenate([[0], np.cumsum(counts)]), places[known]
