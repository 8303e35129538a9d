"""How good a block of entities is on videos it did not learn from (paper §5.1, Eq. 8-10).

Axes: V videos, E entities of the block, D features, R weight vectors an entity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.average_precision import N_THRESHOLDS, precision_sums, run_starts, thresholds
from yt8m_spark.core.losses import LossFamily

__all__ = ["BlockValidation", "validation_bytes"]

Floats = NDArray[np.float64]

_SPAN = N_THRESHOLDS + 1
# Videos scored at a time: their logits stay in the cache.
_VIDEOS_AT_ONCE = 256


class BlockValidation:
    """Average precision and loss of a block, exactly, of videos that come in portions.

    Holds `validation_bytes`, whatever the number of videos: the predictions and hits of each
    entity at each of the 10,000 thresholds.

    Parameters
    ----------
    family : LossFamily
    weights : (R, E, D) float32
    bias : (R, E) float32

    Attributes
    ----------
    n_videos : int
        That have come.
    n_positives : (E,) int64
        Of how many of them each entity is a label.
    """

    def __init__(
        self, family: LossFamily, weights: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> None:
        rows, n_entities, n_features = weights.shape
        self.n_videos = 0
        self.n_positives = np.zeros(n_entities, dtype=np.int64)
        self._family = family
        self._shape = (rows, n_entities)
        self._weights = np.ascontiguousarray(weights.reshape(rows * n_entities, n_features).T)
        self._bias = bias.reshape(rows * n_entities)
        self._loss_sum = np.zeros(n_entities)
        self._hits, self._totals = np.zeros((2, n_entities * _SPAN), dtype=np.int32)

    def add(self, features: NDArray[np.float32], labels: NDArray[np.float32]) -> None:
        """Score videos, ``features`` (V, D) with ``labels`` (V, E) of 0 and 1, and count them."""
        for start in range(0, len(features), _VIDEOS_AT_ONCE):
            part = slice(start, start + _VIDEOS_AT_ONCE)
            self._count(features[part], labels[part])

    def mean_loss(self) -> Floats:
        """Loss of the classifiers' own family, mean over the videos, (E,).

        The log-loss of logistic classifiers and mixtures; of hinge, whose margin is no log-odds,
        the hinge loss.
        """
        return np.asarray(self._loss_sum / max(self.n_videos, 1))

    def average_precision(self) -> Floats:
        """Average precision of each entity, (E,); NaN for those without positives.

        Paper: Eq. 8-10, scores rounded to 1e-4, those that round to 0 left out.
        """
        sums = np.zeros(len(self.n_positives))
        kept = np.flatnonzero(self._totals)
        entities, nearest = np.divmod(kept, _SPAN)
        order = np.lexsort((-nearest, entities))  # best first
        kept, entities = kept[order], entities[order]
        if len(kept):
            first = run_starts(entities)
            hits, totals = (a[kept].astype(np.int64) for a in (self._hits, self._totals))
            before = np.zeros((len(first), 2), dtype=np.int64)
            sums[entities[first]], _ = precision_sums(first, hits, totals, before)
        without = np.where(self.n_positives > 0, self.n_positives, np.nan)
        return np.asarray(sums / without)

    def _count(self, features: NDArray[np.float32], labels: NDArray[np.float32]) -> None:
        z = features @ self._weights
        z += self._bias
        z = z.reshape(len(features), *self._shape)  # (b, R, E)
        self._loss_sum += self._family.loss(z, labels).sum(axis=0, dtype=np.float64)
        self.n_positives += np.count_nonzero(labels, axis=0)
        self.n_videos += len(features)
        scores = self._family.score(z)
        # Far fewer than b x E; the float32 bound lets a few zeros through, dropped below.
        rows, columns = np.nonzero(scores > np.float32(0.4 / N_THRESHOLDS))
        nearest = thresholds(scores[rows, columns])
        rows, columns, nearest = (a[nearest > 0] for a in (rows, columns, nearest))
        places = columns * _SPAN + nearest
        np.add.at(self._totals, places, 1)
        np.add.at(self._hits, places[labels[rows, columns] > 0], 1)


def validation_bytes(n_features: int, n_rows: int, n_entities: int) -> int:
    """Bytes of a `BlockValidation` of so many entities, and of the weights it is made from."""
    return n_entities * (2 * 4 * _SPAN + 3 * 4 * n_rows * (n_features + 1))
