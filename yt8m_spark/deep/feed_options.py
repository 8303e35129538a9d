"""How videos become the batches of a training."""

from __future__ import annotations

from dataclasses import dataclass

from yt8m_spark.errors import InputError

__all__ = ["SAMPLINGS", "WITHOUT_FRAMES", "FeedOptions"]

SAMPLINGS = ("random", "stretch", "all")
WITHOUT_FRAMES = ("refuse", "skip")


@dataclass(frozen=True, kw_only=True)
class FeedOptions:
    """How videos become batches.

    Attributes
    ----------
    widths : dict of str to int
        Feature lists and their widths, in the order of a frame's vector.
    sampling : str
        Frames of a video that a step sees, others in each epoch: "random" ones (§4.1.2, DBoF), of
        which a video that has fewer repeats its own; a "stretch" of frames on end; or "all".
    n_frames : int
        How many; at most so many for a stretch, of which 0 takes all.
    batch_size : int
        Videos of a step, over all ranks.
    seed : int
        Of the order of videos and of their frames.
    shuffle_videos : int
        Videos of a window. In memory are two windows a reader and the one in use, each with its
        chosen frames: of 1,024 videos 35 MB at 30 frames of 1,152 codes, but 350 MB at 300. Of a
        reader they are in shared memory (/dev/shm), which containers keep small.
    n_readers : int
        Processes that read for one rank; 0 reads in the rank's own.
    without_frames : str
        Whether to "refuse" a video without frames or to "skip" it: it then counts, with 0 frames.

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    widths: dict[str, int]
    sampling: str = "random"
    n_frames: int = 30
    batch_size: int = 32
    seed: int = 0
    shuffle_videos: int = 1024
    n_readers: int = 1
    without_frames: str = "refuse"

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not self.widths or min(self.widths.values()) < 1:
            _refuse("widths", "feature lists with widths of 1 or more", self.widths)
        for name, known in (("sampling", SAMPLINGS), ("without_frames", WITHOUT_FRAMES)):
            if getattr(self, name) not in known:
                _refuse(name, f"one of {', '.join(known)}", repr(getattr(self, name)))
        least_frames = 1 if self.sampling == "random" else 0
        least = {"batch_size": 1, "shuffle_videos": 1, "n_readers": 0, "seed": 0}
        for name, value in (least | {"n_frames": least_frames}).items():
            if getattr(self, name) < value:
                _refuse(name, f"at least {value}", getattr(self, name))

    @property
    def width(self) -> int:
        """D of a frame's vector."""
        return sum(self.widths.values())


def _refuse(name: str, expected: str, found: object) -> None:
    raise InputError(f"wrong {name}", where="the feed", expected=expected, found=found)
