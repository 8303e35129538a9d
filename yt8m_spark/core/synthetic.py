"""Synthetic YouTube-8M videos in which each part of the paper's comparison has something to find.

Axes: F frames (1 frame = 1 s), D features (rgb, then audio), E entities.

An entity shows itself in exactly one way, its `Kind`. A video is the sum of its entities, a scene
(the topic of its first entity), a style of its own and noise, coded to 8 bits.

Everything about a video comes from ``default_rng([seed, stream, index])``, and no sum is left to
BLAS, so its bytes depend on the configuration and the index, not on who makes it or when.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.quantization import dequantize, quantize
from yt8m_spark.core.synthetic_config import (
    MIN_FRAMES,
    SPLITS,
    Shard,
    SyntheticConfig,
    shards,
    split_of,
)
from yt8m_spark.core.synthetic_world import (
    Floats,
    Ints,
    Kind,
    World,
    entity_names,
    make_world,
)

__all__ = [
    "SPLITS",
    "Kind",
    "Shard",
    "SyntheticConfig",
    "SyntheticVideo",
    "World",
    "entity_names",
    "make_video",
    "make_world",
    "mean_features",
    "shards",
]

# Streams of random numbers: the same seed never feeds two of them.
_FRAMES, _LABELS = 1, 2

LENGTH_SPREAD = 0.4  # standard deviation of the logarithm of a video's length

# Sizes of the parts of a video, in units of the dequantized features, whose range is [-2, 2]. All
# are ours, chosen so that the paper's recipes come out in its order and none of them near 1.
STYLE = 0.20  # standard deviation over videos of what one video adds to all its frames
NOISE = 0.40  # standard deviation over the frames of one video, the median over features
NOISE_SPREAD = 0.20  # standard deviation of the logarithm of that, over features and videos
SCENE = 0.13  # times the vector of a topic
SHARED_TOPIC = 0.5  # probability that a further label comes from the topic of the first
N_PEAKS = 5  # frames in which a peak shows, as in top5

# Times the vector of an entity (mean, modes), or greatest deviation of one feature (the others).
_SIZE = {Kind.MEAN: 0.3, Kind.MODES: 0.37, Kind.SPREAD: 0.5, Kind.PEAKS: 1.5, Kind.ORDER: 0.9}


@dataclass(frozen=True)
class SyntheticVideo:
    """One video.

    Parameters
    ----------
    video_id : str
        Six letters and digits, unique in the data set.
    split : str
        One of `SPLITS`.
    labels : (n,) int64, ascending
        The labels as given: some missing, some wrong.
    clean_labels : (m,) int64, ascending
        The entities that are in the frames.
    rgb : (F, rgb_dim) uint8
    audio : (F, audio_dim) uint8
    """

    video_id: str
    split: str
    labels: Ints
    clean_labels: Ints
    rgb: NDArray[np.uint8]
    audio: NDArray[np.uint8]


def make_video(world: World, index: int) -> SyntheticVideo:
    """Make video ``index`` of ``world``, the same whoever asks and whenever.

    The frames do not depend on ``label_recall`` and ``label_precision``.

    Raises
    ------
    ValueError
        If ``index`` is not in [0, n_videos).
    """
    config = world.config
    if not 0 <= index < config.n_videos:
        raise ValueError(f"index must be in [0, {config.n_videos}), got {index}")
    rng = np.random.default_rng([config.seed, _FRAMES, index])
    first, clean_labels = _draw_labels(world, rng)
    codes = quantize(_draw_frames(world, first, clean_labels, rng))
    return SyntheticVideo(
        video_id=_video_id(config.seed, index),
        split=split_of(config, index),
        labels=_spoil_labels(world, clean_labels, index),
        clean_labels=clean_labels,
        rgb=np.ascontiguousarray(codes[:, : config.rgb_dim]),
        audio=np.ascontiguousarray(codes[:, config.rgb_dim :]),
    )


def mean_features(video: SyntheticVideo) -> dict[str, Floats]:
    """Return the features of the video-level record: the means of the dequantized frames."""
    lists = {"mean_rgb": video.rgb, "mean_audio": video.audio}
    return {
        name: dequantize(codes).mean(axis=0, dtype=np.float64).astype(np.float32)
        for name, codes in lists.items()
    }


def _video_id(seed: int, index: int) -> str:
    """Six characters: ``index`` scattered over base 62, one to one."""
    # The multiplier has no factor in common with 62**6, so no two indices meet.
    number = (index * 27_644_437_007 + seed * 1_000_003) % 62**6
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return "".join(letters[number // 62**place % 62] for place in range(6))


def _draw_labels(world: World, rng: np.random.Generator) -> tuple[int, Ints]:
    """First label and all labels in ascending order.

    The first comes from the Zipf law; each further one from it too, in its own or in the first
    one's topic. Both have the Zipf law as their marginal, but an entity counts once a video, so
    that the most frequent ones are found in somewhat fewer videos than the law says.
    """
    q = world.frequencies
    first = int(np.searchsorted(q.cumsum()[:-1], rng.random(), side="right"))
    n_labels = 1 + rng.poisson(world.config.labels_per_video - 1)
    same = world.topics == world.topics[first]
    weights = q * np.where(same, 1 - SHARED_TOPIC + SHARED_TOPIC / q[same].sum(), 1 - SHARED_TOPIC)
    # Ordering exponential clocks of rate w is drawing by w without replacement.
    clocks = rng.standard_exponential(len(q)) / weights
    labels = [first]
    for entity in np.argsort(clocks, kind="stable"):
        if len(labels) >= n_labels:
            break
        if entity != first and world.partners[entity] not in labels:
            labels.append(int(entity))
    return first, np.sort(np.array(labels, dtype=np.int64))


def _draw_frames(world: World, first: int, labels: Ints, rng: np.random.Generator) -> Floats:
    """Frames before they are coded, (F, D)."""
    config, n_dims = world.config, world.directions.shape[1]
    length = config.mean_frames * rng.lognormal(-(LENGTH_SPREAD**2) / 2, LENGTH_SPREAD)
    n_frames = int(np.clip(round(length), MIN_FRAMES, config.max_frames))
    everywhere = (
        np.float32(SCENE) * world.scenes[world.topics[first]]
    )  # (D,), the same in all frames
    everywhere += STYLE * rng.standard_normal(n_dims, dtype=np.float32)
    scale = NOISE * np.exp(NOISE_SPREAD * rng.standard_normal(n_dims, dtype=np.float32))
    frames = rng.standard_normal((n_frames, n_dims), dtype=np.float32)
    frames *= scale.astype(np.float32)
    for entity in labels.tolist():
        size = _SIZE[world.kinds[entity]] * rng.uniform(0.6, 1.4)
        if world.kinds[entity] is Kind.MEAN:
            everywhere += np.float32(size) * world.directions[entity]
        elif world.kinds[entity] is Kind.MODES:
            everywhere += np.float32(size * rng.choice((-1, 1))) * world.directions[entity]
        else:
            profile = size * world.signs[entity] * _profile(world.kinds[entity], n_frames, rng)
            frames[:, world.dims[entity]] += profile.astype(np.float32)[:, None]
    frames += everywhere
    return frames


def _profile(kind: Kind, n_frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How a feature moves through the video, (F,); the mean is 0."""
    if kind is Kind.ORDER:
        return np.linspace(-1, 1, n_frames)
    profile = np.zeros(n_frames)
    if kind is Kind.SPREAD:
        profile[: n_frames // 2] = 1
        profile[n_frames - n_frames // 2 :] = -1
    else:
        n_peaks = max(1, min(N_PEAKS, n_frames // 4))
        profile[:n_peaks] = 1
        profile -= n_peaks / n_frames
    return rng.permutation(profile)


def _spoil_labels(world: World, clean: Ints, index: int) -> Ints:
    """Labels as given: true ones kept at the recall, wrong ones added for the precision."""
    config = world.config
    rng = np.random.default_rng([config.seed, _LABELS, index])
    kept = clean[rng.random(len(clean)) < config.label_recall]
    wrong_per_true = (1 - config.label_precision) / config.label_precision
    n_wrong = rng.poisson(config.label_recall * len(clean) * wrong_per_true)
    clocks = rng.standard_exponential(config.n_entities) / world.frequencies
    clocks[clean] = np.inf
    wrong = np.argsort(clocks, kind="stable")[: min(n_wrong, config.n_entities - len(clean))]
    return np.sort(np.concatenate([kept, wrong])).astype(np.int64)
