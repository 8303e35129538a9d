"""Which entities a model has learned to see alike: the cosine of their weights.

Axes: E entities, R weight vectors an entity (1; MoE 2H), D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.scoring import Scorer

__all__ = ["nearest_entities"]

_ROWS = 512  # entities compared with all others at once: 10 MB at E = 4,800


def nearest_entities(scorer: Scorer, n_nearest: int) -> dict[int, list[tuple[int, float]]]:
    """The ``n_nearest`` entities with the most similar weights, and their cosines in [-1, 1].

    The most similar come first, equal ones by id. Entities with weights of 0, which had no
    positive videos, have none and are none's. Takes 4 E D bytes beside the model.

    Notes
    -----
    The paper has no such figure. For a mixture of experts it is ours to compare the mean of the
    experts' weights u_h: it does not depend on how the experts are numbered.
    """
    vectors = _directions(scorer)
    trained = np.flatnonzero(np.abs(vectors).max(axis=1) > 0)
    vectors, ids = vectors[trained], scorer.entities[trained]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest: dict[int, list[tuple[int, float]]] = {}
    for start in range(0, len(ids), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(ids)))
        cosines = vectors[rows] @ vectors.T  # (rows, E)
        cosines[np.arange(len(rows)), rows] = -np.inf  # itself
        order = np.argsort(-cosines, axis=1, kind="stable")[:, : min(n_nearest, len(ids) - 1)]
        found = np.take_along_axis(cosines, order, axis=1)
        for row, others, values in zip(rows, order, found, strict=True):
            pairs = zip(ids[others].tolist(), values.tolist(), strict=True)
            nearest[int(ids[row])] = list(pairs)
    return nearest


def _directions(scorer: Scorer) -> NDArray[np.float32]:
    """One vector an entity, (E, D), a copy."""
    experts = scorer.weights[scorer.weights.shape[0] // 2 :]  # R = 1: all; MoE: u_h after w_h
    return np.asarray(experts.mean(axis=0, dtype=np.float32))
