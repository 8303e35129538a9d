"""Videos in, features of their frames out: batches of images filled from one video after another.

Axes: F frames of a video, B images of a batch, M activations.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
from yt8m_spark.video.decode import BrokenVideoError, Sampling, reason_of, sample_frames
from yt8m_spark.video.images import Image, Preprocessing, fill_input, image_of
from yt8m_spark.video.networks import Network, input_shape

__all__ = ["Extracted", "Extractor", "Seconds", "VideoFile"]

Floats = NDArray[np.float32]


class VideoFile(NamedTuple):
    """A video to extract features from."""

    video_id: str
    path: str
    labels: list[int]


class Extracted(NamedTuple):
    """What came of a video; with a reason it is broken, and has the frames before the damage."""

    video: VideoFile
    activations: Floats  # (F, M); (0, 0) without a frame
    reason: str | None


@dataclass
class Seconds:
    """Where the time of a task went."""

    decoding: float = 0.0
    network: float = 0.0


@dataclass(eq=False)
class _Pending:
    """A video of which not all images have been through the network."""

    video: VideoFile
    n_images: int = 0
    ended: bool = False
    reason: str | None = None
    rows: list[Floats] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return self.ended and sum(map(len, self.rows)) == self.n_images

    def extracted(self) -> Extracted:
        rows = np.concatenate(self.rows) if self.rows else np.empty((0, 0), np.float32)
        return Extracted(self.video, rows, self.reason)


class Extractor:
    """Runs a network over the frames of videos.

    The network always sees batches of one size, the last one with images of the one before at its
    end: so a video's features do not depend on which videos came before it, as long as the network
    treats the images of a batch apart from each other.

    Parameters
    ----------
    network : Network
    how : Preprocessing
    sampling : Sampling
    batch_size : int
        B, unless the network has a size of its own.
    """

    def __init__(
        self, network: Network, how: Preprocessing, sampling: Sampling, batch_size: int
    ) -> None:
        self._network = network
        self._how = how
        self._sampling = sampling
        self._size = network.form.size or (how.size, how.size)
        shape = input_shape(network.form, network.form.n_images or batch_size, self._size)
        self._images = np.zeros(shape, network.form.dtype)
        self._owners: list[_Pending] = []  # of the images in the batch
        self.seconds = Seconds()

    def width(self) -> int:
        """M, found by running the network on black images.

        Raises
        ------
        InputError
            If the network does not take such images.
        """
        return int(self._network.activations(np.zeros_like(self._images)).shape[1])

    def extract(
        self, videos: Iterable[VideoFile], opener: Callable[[str], str | IO[bytes]]
    ) -> Iterator[Extracted]:
        """Features of ``videos`` in their order.

        Memory holds one batch of images and the activations of the videos that it touches.

        Parameters
        ----------
        videos : iterable of VideoFile
        opener : callable
            From the path of a video to what `sample_frames` takes.

        Raises
        ------
        InputError
            If the network does not take the images, its activations are not finite, or a video
            cannot be read (storage fails, or access is denied): the next ones could not either.
            A video at fault does not raise: it is `Extracted` with a reason.
        """
        self._owners.clear()  # of an extraction that failed in the same process
        pending: deque[_Pending] = deque()
        for video in videos:
            pending.append(_Pending(video))
            for image in self._images_of(pending[-1], opener):
                self._add(pending[-1], image)
            yield from _done(pending)
        self._run()
        yield from _done(pending)

    def _images_of(
        self, pending: _Pending, opener: Callable[[str], str | IO[bytes]]
    ) -> Iterator[Image]:
        """Images of a video's frames; what is wrong with it goes to ``pending``."""
        start = time.perf_counter()
        try:
            source = opener(pending.video.path)
            with nullcontext(source) if isinstance(source, str) else source as file:
                for frame in sample_frames(file, self._sampling):
                    image = image_of(frame, self._size, self._how)
                    self.seconds.decoding += time.perf_counter() - start
                    yield image
                    start = time.perf_counter()
        except InputError:  # of remote storage
            raise
        except (BrokenVideoError, ValueError) as error:  # ValueError: PyAV's, of odd headers
            pending.reason = " ".join(str(error).split())
        except OSError as error:
            what = f"cannot be read ({reason_of(error)})"
            raise InputError(what, where=pending.video.path) from error
        self.seconds.decoding += time.perf_counter() - start
        pending.ended = True

    def _add(self, owner: _Pending, image: Image) -> None:
        row = self._images[len(self._owners)]
        fill_input(row, image, self._how, channels_first=self._network.form.channels_first)
        owner.n_images += 1
        self._owners.append(owner)
        if len(self._owners) == len(self._images):
            self._run()

    def _run(self) -> None:
        """Send the batch through the network, and each row to its video."""
        if not self._owners:
            return
        start = time.perf_counter()
        try:
            activations = self._network.activations(self._images)
        except InputError as error:
            paths = dict.fromkeys(owner.video.path for owner in self._owners)
            raise InputError(f"{error}, at images of {', '.join(paths)}") from error
        self.seconds.network += time.perf_counter() - start
        for owner, rows in groupby(zip(self._owners, activations, strict=False), itemgetter(0)):
            owner.rows.append(np.stack([row for _, row in rows]))
        self._owners.clear()


def _done(pending: deque[_Pending]) -> Iterator[Extracted]:
    while pending and pending[0].is_done:
        yield pending.popleft().extracted()
