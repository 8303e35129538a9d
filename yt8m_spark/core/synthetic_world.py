"""What the videos of one synthetic YouTube-8M have in common: the entities and how they show.

Axes: D features (rgb, then audio), E entities, T topics.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.synthetic_config import SyntheticConfig

__all__ = ["Floats", "Ints", "Kind", "World", "entity_names", "make_world"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

WORLD_STREAM = 0  # of random numbers; the streams of videos and labels are 1 and 2

DIMS_SHARE = 0.1  # share of the features in which an entity of spread, peaks or order shows


class Kind(StrEnum):
    """How an entity shows itself in the frames of a video."""

    MEAN = "mean"  # one direction in all frames: linear in the mean
    MODES = "modes"  # that direction or its opposite: two experts see it, a linear model cannot
    SPREAD = "spread"  # features that swing about their mean: only the standard deviation moves
    PEAKS = "peaks"  # few frames, up or down: a pair of one mean and standard deviation
    ORDER = "order"  # features that rise or fall through the video: a pair of the same frames


# (kind, sign) by frequency rank, over and over; a pair is two neighbours of opposite sign.
_CYCLE = (
    (Kind.MEAN, 1),
    (Kind.MODES, 1),
    (Kind.SPREAD, 1),
    (Kind.PEAKS, 1),
    (Kind.PEAKS, -1),
    (Kind.MEAN, 1),
    (Kind.MODES, 1),
    (Kind.MEAN, 1),
    (Kind.SPREAD, 1),
    (Kind.ORDER, 1),
    (Kind.ORDER, -1),
    (Kind.MEAN, 1),
)


@dataclass(frozen=True)
class World:
    """What all videos of one configuration have in common.

    Parameters
    ----------
    config : SyntheticConfig
    kinds : (E,) Kind
    signs : (E,) int, 1 or -1
        Which of a pair an entity is.
    partners : (E,) int64
        The other of the pair, never in the same video; -1 where there is none.
    frequencies : (E,) float64
        Probability of an entity to be a video's first label; sums to 1.
    topics : (E,) int64
        Entities of one topic are found together.
    directions : (E, D) float32
        What entities of mean and of modes add, all of one length.
    dims : (E, a tenth of D) int64
        Features in which entities of spread, peaks and order show; the same for a pair.
    scenes : (T, D) float32
        What the first entity's topic adds to a video, as long as ``directions``.
    """

    config: SyntheticConfig
    kinds: tuple[Kind, ...]
    signs: tuple[int, ...]
    partners: Ints
    frequencies: NDArray[np.float64]
    topics: Ints
    directions: Floats
    dims: Ints
    scenes: Floats


def make_world(config: SyntheticConfig) -> World:
    """Draw what all videos have in common; the same for the same ``config``."""
    rng = np.random.default_rng([config.seed, WORLD_STREAM])
    n_entities, n_dims = config.n_entities, config.rgb_dim + config.audio_dim
    n_topics = max(1, round(n_entities**0.5))
    ways = [_CYCLE[entity % len(_CYCLE)] for entity in range(n_entities)]
    kinds, signs = zip(*ways, strict=True)
    partners = _partners(kinds, signs)
    frequencies = np.arange(1, n_entities + 1) ** -float(config.zipf_exponent)
    dims = np.stack([_draw_dims(rng, n_dims) for _ in range(n_entities)])
    second = np.flatnonzero((partners >= 0) & (np.array(signs) < 0))
    dims[second] = dims[partners[second]]
    return World(
        config=config,
        kinds=kinds,
        signs=signs,
        partners=partners,
        frequencies=frequencies / frequencies.sum(),
        topics=rng.permutation(n_entities) % n_topics,
        directions=_draw_directions(rng, n_entities, n_dims),
        dims=dims,
        scenes=_draw_directions(rng, n_topics, n_dims),
    )


def entity_names(world: World) -> dict[int, str]:
    """Return a name for each entity that tells its kind: ``Peaks 3``."""
    return {entity: f"{kind.capitalize()} {entity}" for entity, kind in enumerate(world.kinds)}


def _partners(kinds: tuple[Kind, ...], signs: tuple[int, ...]) -> Ints:
    """Entity of the same pair, (E,), or -1."""
    partners = np.full(len(kinds), -1)
    for entity, sign in enumerate(signs):
        if sign < 0:
            partners[[entity - 1, entity]] = entity, entity - 1
    return partners


def _draw_dims(rng: np.random.Generator, n_dims: int) -> Ints:
    """Draw a tenth of the features, two at least if there are two."""
    n_drawn = min(n_dims, max(2, round(DIMS_SHARE * n_dims)))
    return np.sort(rng.choice(n_dims, size=n_drawn, replace=False))


def _draw_directions(rng: np.random.Generator, n_rows: int, n_dims: int) -> Floats:
    """Vectors of random direction, (n_rows, D), of length D ** 0.25.

    The more features there are, the more noise a classifier can fit; at a fixed length the
    comparison would drown in it at the full 1152 features.
    """
    rows = rng.standard_normal((n_rows, n_dims))
    lengths = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    return np.asarray(rows / lengths * n_dims**0.25, dtype=np.float32)
