"""What synthetic YouTube-8M to make, and which videos are in which shard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from yt8m_spark.core.split_hash import SPLITS

__all__ = ["MIN_FRAMES", "SPLITS", "Shard", "SyntheticConfig", "shards", "split_of"]

MIN_FRAMES = 5  # top5 (Eq. 2) needs five


@dataclass(frozen=True)
class SyntheticConfig:
    """What to make.

    Parameters
    ----------
    n_videos, n_entities, n_shards : int
        Totals over the three splits; each split has at least one shard, each shard one video.
    seed : int
        Not negative.
    rgb_dim, audio_dim : int
        Features of a frame; 1024 and 128 in the release.
    mean_frames : float
        Mean length in seconds, before lengths are held to [5, ``max_frames``].
    max_frames : int
        Longest video in seconds; 300 in the release.
    labels_per_video : float
        Mean number of true labels, at least 1 (1.8 in the paper, 3.0 in the 2018 release).
    zipf_exponent : float
        The entity of rank r is drawn with a probability proportional to r ** -zipf_exponent.
    label_recall, label_precision : float
        Share of the true labels that is given, and share of the given labels that is true
        (the paper's against human raters: 0.145 and 0.788). A video may then have no label.

    Raises
    ------
    ValueError
        A field out of its range; names the field, the range and the value.
    """

    n_videos: int = 2000
    n_entities: int = 200
    n_shards: int = 10
    seed: int = 0
    rgb_dim: int = 1024
    audio_dim: int = 128
    mean_frames: float = 120.0
    max_frames: int = 300
    labels_per_video: float = 3.0
    zipf_exponent: float = 1.0
    label_recall: float = 1.0
    label_precision: float = 1.0

    def __post_init__(self) -> None:
        _require_at_least("n_shards", self.n_shards, len(SPLITS))
        _require_at_least("n_videos", self.n_videos, self.n_shards, " (n_shards)")
        _require_at_least("n_entities", self.n_entities, 2)
        _require_at_least("seed", self.seed, 0)
        _require_at_least("rgb_dim", self.rgb_dim, 1)
        _require_at_least("audio_dim", self.audio_dim, 1)
        _require_at_least("max_frames", self.max_frames, MIN_FRAMES)
        _require_within("mean_frames", self.mean_frames, MIN_FRAMES, self.max_frames)
        _require_within("labels_per_video", self.labels_per_video, 1, self.n_entities)
        _require_within("zipf_exponent", self.zipf_exponent, 0, 10)
        _require_within("label_recall", self.label_recall, 0, 1)
        _require_within("label_precision", self.label_precision, 0.01, 1)


class Shard(NamedTuple):
    """Videos ``first`` to ``last`` - 1 are shard ``number`` of ``split``."""

    split: str
    number: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """File name without its suffix, as the release has them: ``train0012``."""
        return f"{self.split}{self.number:04d}"


def shards(config: SyntheticConfig) -> list[Shard]:
    """Return all shards of ``config``, in the order of the videos in them."""
    n_shards = _split_sizes(config.n_shards, (1, 1, 1))
    n_videos = _videos_per_split(config)
    result, first = [], 0
    for split, in_split, n_files in zip(SPLITS, n_videos, n_shards, strict=True):
        edges = [first + in_split * number // n_files for number in range(n_files + 1)]
        result += [Shard(split, i, edges[i], edges[i + 1]) for i in range(n_files)]
        first = edges[-1]
    return result


def split_of(config: SyntheticConfig, index: int) -> str:
    """Split of video ``index``: the splits follow one another."""
    n_train, n_validate, _ = _videos_per_split(config)
    if index < n_train:
        return SPLITS[0]
    return SPLITS[1] if index < n_train + n_validate else SPLITS[2]


def _videos_per_split(config: SyntheticConfig) -> tuple[int, int, int]:
    """Videos of train, validate and test: enough for no shard to be empty."""
    return _split_sizes(config.n_videos, _split_sizes(config.n_shards, (1, 1, 1)))


def _split_sizes(total: int, lowest: tuple[int, int, int]) -> tuple[int, int, int]:
    """70 / 20 / 10 of ``total``, and at least ``lowest`` each."""
    validate = max(lowest[1], round(0.2 * total))
    test = max(lowest[2], round(0.1 * total))
    return total - validate - test, validate, test


def _require_at_least(name: str, value: int, lowest: int, why: str = "") -> None:
    """Refuse a whole number below ``lowest``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise ValueError(f"{name} must be a whole number of at least {lowest}{why}, got {value!r}")


def _require_within(name: str, value: float, lowest: float, highest: float) -> None:
    """Refuse a number outside [lowest, highest], NaN too."""
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must be in [{lowest}, {highest}], got {value!r}")
