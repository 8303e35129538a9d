"""Scores of trained classifiers (paper §4.3).

Axes: B videos, D features, E entities, R weight vectors an entity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.losses import LossFamily
from yt8m_spark.core.training import with_bias

__all__ = ["Scorer", "score_videos"]

# Videos scored at once. The logits of 256 videos, 4,800 entities and 4 rows are 20 MB.
_VIDEOS_AT_ONCE = 256


class Scorer(NamedTuple):
    """A model in memory."""

    family: LossFamily
    entities: NDArray[np.int64]  # (E,), ascending
    weights: NDArray[np.float32]  # (R, E, D + 1), the last column the bias

    @property
    def n_features(self) -> int:
        """D."""
        return int(self.weights.shape[2]) - 1


def score_videos(scorer: Scorer, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Score of every video and entity, (B, E) in [0, 1], for ``features`` (B, D).

    Raises
    ------
    ValueError
        If the width is not the model's.
    """
    if features.ndim != 2 or features.shape[1] != scorer.n_features:
        raise ValueError(f"features must be (B, {scorer.n_features}), got {features.shape}")
    rows, n_entities, width = scorer.weights.shape
    flat = scorer.weights.reshape(rows * n_entities, width)
    scores = np.empty((len(features), n_entities), dtype=np.float32)
    for start in range(0, len(features), _VIDEOS_AT_ONCE):
        part = slice(start, start + _VIDEOS_AT_ONCE)
        z = with_bias(features[part]) @ flat.T
        scores[part] = scorer.family.score(z.reshape(len(z), rows, n_entities))
    return scores
