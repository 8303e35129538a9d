"""Scores of trained classifiers, a block of videos and entities at a time (paper §4.3).

Axes: B videos, D features, E entities, R weight vectors an entity, K top-k; b and e are the
videos and entities of one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.losses import LossFamily
from yt8m_spark.core.scored import order_bits, top_k
from yt8m_spark.errors import InputError

__all__ = ["BLOCK_LOGITS", "Scorer", "score_videos", "top_k_videos"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# Logits (b, R, e) of one block: 1 MiB, so that what follows the product finds them in the cache.
# No array of more logits is ever made, whatever B, R and E are (of R > BLOCK_LOGITS, R of them; of
# E > BLOCK_LOGITS coupled entities, E).
BLOCK_LOGITS = 1 << 18
# Videos of a block: enough of them that a product does not wait for its weights.
_BLOCK_VIDEOS = 512
_LOWEST = np.int64(0xFFFFFFFF)


class Scorer(NamedTuple):
    """A model in memory: 4 R E (D + 1) bytes."""

    family: LossFamily
    entities: Ints  # (E,), ascending
    weights: Floats  # (R, E, D)
    bias: Floats  # (R, E)

    @property
    def n_features(self) -> int:
        """D."""
        return int(self.weights.shape[2])


def score_videos(scorer: Scorer, features: Floats) -> Floats:
    """Score of every video and entity, (B, E) in [0, 1], for ``features`` (B, D).

    Raises
    ------
    ValueError
        If the width is not the model's.
    """
    _check_width(scorer, features)
    scores = np.empty((len(features), len(scorer.entities)), dtype=np.float32)
    for videos in _video_blocks(scorer, len(features)):
        for columns, block in _entity_blocks(scorer, features[videos]):
            scores[videos, columns] = block
    return scores


def top_k_videos(scorer: Scorer, features: Floats, k: int) -> tuple[Ints, Floats]:
    """The ``k`` best entities of each video and their scores, best first.

    What sorting all E scores of a video gives, equal scores in the order of entity ids; but
    neither all scores of a video nor all its logits are ever held.

    Parameters
    ----------
    scorer : Scorer
    features : (B, D) float32
        Finite.
    k : int
        At least 1.

    Returns
    -------
    entities : (B, min(k, E)) int64
    scores : (B, min(k, E)) float32 in [0, 1]

    Raises
    ------
    ValueError
        If the width is not the model's or ``k`` is less than 1.
    InputError
        If a score is NaN, which has no rank: features or weights are not finite, or so large that
        their product is not.
    """
    _check_width(scorer, features)
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    kept = min(k, len(scorer.entities))
    entities = np.empty((len(features), kept), dtype=np.int64)
    scores = np.empty((len(features), kept), dtype=np.float32)
    for videos in _video_blocks(scorer, len(features)):
        best = _best_keys(scorer, features[videos], kept)
        entities[videos] = scorer.entities[_LOWEST - (best & _LOWEST)]
        scores[videos] = (best >> 32).astype(np.int32).view(np.float32)
    return entities, scores


def _best_keys(scorer: Scorer, features: Floats, k: int) -> Ints:
    """Keys of the ``k`` best entities of each video, descending, (b, k).

    A key is the score above and the reversed column below, all different, so that the order of
    keys is the order of rank.
    """
    best = np.empty((len(features), 0), dtype=np.int64)
    for columns, scores in _entity_blocks(scorer, features):
        # A NaN makes the maximum one, and every comparison with it false.
        if not scores.max() <= 1:
            expected = "features and weights whose products are finite"
            raise InputError("score is not a number", expected=expected, found="NaN")
        if best.shape[1] < k:
            found = top_k(scores, k)
            keys = _keys(np.take_along_axis(scores, found, axis=1), found + columns.start)
            best = _merged(best, keys, k)
        else:
            _admit(best, scores, columns.start)
    return best


def _admit(best: Ints, scores: Floats, first: int) -> None:
    """Put into ``best`` (b, k) what beats it of the next block's ``scores`` (b, e), in place."""
    # Columns only rise, so a score that equals the last of the best ranks below it: most blocks
    # have little above, and one comparison a score is all they cost.
    least = (best[:, -1] >> 32).astype(np.int32).view(np.float32)
    rows, columns = np.nonzero(scores > least[:, None])
    if not len(rows):
        return
    counts = np.bincount(rows, minlength=len(best))
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    changed = np.flatnonzero(counts)
    position = np.cumsum(counts > 0) - 1
    keys = np.full((len(changed), counts.max()), -1, dtype=np.int64)  # -1 is below every key
    keys[position[rows], places] = _keys(scores[rows, columns], columns + first)
    best[changed] = _merged(best[changed], keys, best.shape[1])


def _merged(best: Ints, keys: Ints, k: int) -> Ints:
    """The ``k`` largest of each row of both, descending."""
    both = np.concatenate([best, keys], axis=1)
    return np.sort(both, axis=1)[:, ::-1][:, :k]


def _keys(scores: Floats, columns: Ints) -> Ints:
    return (order_bits(scores).astype(np.int64) << 32) | (_LOWEST - columns)


def _video_blocks(scorer: Scorer, n_videos: int) -> Iterator[slice]:
    """Blocks of videos; where entities are coupled, so few that a block takes all entities."""
    size = _BLOCK_VIDEOS
    if scorer.family.coupled:
        size = max(1, min(size, BLOCK_LOGITS // len(scorer.entities)))
    return (slice(i, min(i + size, n_videos)) for i in range(0, n_videos, size))


def _entity_blocks(scorer: Scorer, features: Floats) -> Iterator[tuple[slice, Floats]]:
    """Scores (b, e) of a block of videos, entities from the first to the last."""
    rows, n_entities, _ = scorer.weights.shape
    width = max(1, BLOCK_LOGITS // (rows * len(features)))
    width = n_entities if scorer.family.coupled else width
    for start in range(0, n_entities, width):
        columns = slice(start, min(start + width, n_entities))
        z = np.empty((len(features), rows, columns.stop - start), dtype=np.float32)
        for row in range(rows):
            np.matmul(features, scorer.weights[row, columns].T, out=z[:, row])
        z += scorer.bias[:, columns]
        yield columns, scorer.family.score(z)


def _check_width(scorer: Scorer, features: Floats) -> None:
    if features.ndim != 2 or features.shape[1] != scorer.n_features:
        raise ValueError(f"features must be (B, {scorer.n_features}), got {features.shape}")
