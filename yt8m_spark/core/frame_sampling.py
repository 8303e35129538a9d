"""Frames as examples of a video's labels: which ones, and as which vectors (paper §4.1.1).

The frame-level classifiers learn from 20 random frames of each video, every one with all the labels
of the video, and score a video by the mean over all its frames (`core.frame_scoring`).

Axes: V videos, N frames of all videos, D features of a frame, all its lists side by side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.quantization import LEVELS
from yt8m_spark.core.whitening import l2_normalize
from yt8m_spark.errors import InputError

__all__ = ["FrameLists", "FrameOptions", "choose_frames", "sample_videos", "video_number"]

Ints = NDArray[np.int64]
_NO_FRAMES = np.empty(0, np.int64)


class FrameOptions(NamedTuple):
    """How frames become examples; a model that was trained on them remembers it."""

    features: dict[str, int]  # feature lists and their widths, in the order of the vector
    normalize: bool = True  # scale the vector of a frame to length 1
    n_frames: int = 20  # sampled of a video (§4.1.1)
    seed: int = 0

    @property
    def width(self) -> int:
        """D of the vector of a frame."""
        return sum(self.features.values())

    def describe(self) -> dict[str, Any]:
        """The same in JSON's own types; the order of ``features`` as a list, which JSON keeps."""
        return self._asdict() | {"order": list(self.features)}

    @classmethod
    def from_description(cls, described: Mapping[str, Any], where: str) -> FrameOptions:
        """Options that `describe` gave, read from ``where``.

        Raises
        ------
        InputError
            If they are none.
        """
        try:
            widths = {str(name): int(width) for name, width in described["features"].items()}
            order = described.get("order", list(widths))
            return cls(
                {name: widths[name] for name in order},
                bool(described["normalize"]),
                int(described["n_frames"]),
                int(described["seed"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            expected = "features, normalize, n_frames and seed"
            raise InputError(
                "not a description of frames", where=where, expected=expected, found=repr(error)
            ) from None


class FrameLists(NamedTuple):
    """Frames of some videos: of each feature list the codes and where each video's start."""

    codes: list[NDArray[np.uint8]]  # (N_i, D_i) of each list i
    offsets: list[Ints]  # (V + 1,) of each list i

    @property
    def counts(self) -> Ints:
        """Frames of each video, (V,): the seconds that all its lists have.

        Lists of one video may differ in length; a frame that lacks a part has no vector.
        """
        lengths = [np.diff(offsets) for offsets in self.offsets]
        return np.asarray(np.min(lengths, axis=0), dtype=np.int64)

    def vectors(self, videos: Ints, frames: Ints, *, normalize: bool) -> NDArray[np.float32]:
        """Vectors (N, D) of the N ``frames`` of as many ``videos``: the lists side by side.

        Notes
        -----
        Scaling to length 1 is ours, the paper does not say: the features of videos that the same
        mappers train on have length 1 (§4.2.2), and to a learning rate of 1.0 raw frames, some
        thirty times as long, are a thousand times too steep.
        """
        widths = [codes.shape[1] for codes in self.codes]
        out = np.empty((len(frames), sum(widths)), dtype=np.float32)
        start = 0
        for codes, offsets, width in zip(self.codes, self.offsets, widths, strict=True):
            out[:, start : start + width] = LEVELS[codes[offsets[videos] + frames]]
            start += width
        return l2_normalize(out) if normalize else out


def choose_frames(video_id: str, n_available: int, n_frames: int, seed: int) -> Ints:
    """Frames to take of a video: ``n_frames`` without replacement, ascending; all if it has fewer.

    Paper: §4.1.1. A function of ``seed`` and the video's id: where the video stands in a table, and
    which task reads it, make no difference.
    """
    if n_available <= n_frames:
        return np.arange(n_available, dtype=np.int64)
    rng = np.random.default_rng([seed, video_number(video_id)])
    return np.sort(rng.choice(n_available, n_frames, replace=False, shuffle=False))


def video_number(video_id: str) -> int:
    """A number of 64 bits that stands for a video in the seeds of its random choices."""
    digest = hashlib.blake2b(video_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def sample_videos(
    lists: FrameLists, video_ids: Sequence[str], options: FrameOptions
) -> tuple[Ints, Ints]:
    """Videos (N,) and frames (N,) chosen of them, video by video."""
    chosen = [
        choose_frames(video_id, n_available, options.n_frames, options.seed)
        for video_id, n_available in zip(video_ids, lists.counts.tolist(), strict=True)
    ]
    counts = [len(frames) for frames in chosen]
    videos = np.repeat(np.arange(len(chosen), dtype=np.int64), counts)
    return videos, np.concatenate([_NO_FRAMES, *chosen])
