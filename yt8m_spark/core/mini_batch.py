"""One mini-batch of one block of entities: two matrix products and AdaGrad (paper §4.3).

Axes: B videos of a mini-batch, D features, R weight vectors an entity, E entities of the block.
This is where training spends its time: a step at B = 32 takes the products little longer than
reading and writing the weights, so what follows passes over those as rarely as it can.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from yt8m_spark.core.adagrad import adagrad_update
from yt8m_spark.core.arrays import add_scaled, asarray_like, namespace
from yt8m_spark.core.block_state import BlockState
from yt8m_spark.core.losses import LossFamily
from yt8m_spark.core.softmax import label_shares
from yt8m_spark.core.training_options import TrainingOptions

__all__ = ["MiniBatchStep"]

# Bytes of gradient made and used up at a time: with its scratch it stays in a core's own cache.
_STRIP_BYTES = 1 << 20
# Bytes of logits that become a gradient at a time: a dozen passes over them find them in the cache.
_LOGIT_BYTES = 1 << 18


class MiniBatchStep:
    """Steps of one block, whose state changes in place.

    Parameters
    ----------
    state : BlockState
    family : LossFamily
    options : TrainingOptions
    positive_weights : (E,) float32, optional
        What a positive video counts for each entity; 1 where not given.
    """

    def __init__(
        self,
        state: BlockState,
        family: LossFamily,
        options: TrainingOptions,
        positive_weights: Any = None,
    ) -> None:
        width, rows, n_entities = state.weights.shape
        self._state = state
        self._family = family
        self._options = options
        self._shape = (rows, n_entities)
        self._weights = state.weights.reshape(width, rows * n_entities)
        self._accumulator = state.accumulator.reshape(width, rows * n_entities)
        self._extra = None if positive_weights is None else positive_weights - 1
        self._strip = _at_a_time(self._weights, _STRIP_BYTES, width - 1)
        self._videos = _at_a_time(self._weights, _LOGIT_BYTES, options.batch_size)
        # Made once: the system gives out a new array page by page.
        strips, logits = (
            (self._strip, self._weights.shape[1]),
            (options.batch_size, rows * n_entities),
        )
        self._gradient, self._scratch, self._logits = (
            asarray_like(np.empty(shape, np.float32), self._weights)
            for shape in (strips, strips, logits)
        )

    def step(self, x: Any, y: Any, counts: Any = None, *, measure: bool = False) -> Any:
        """Learn from one mini-batch; with ``measure`` give the loss of each entity before, (E,).

        Parameters
        ----------
        x : (B, D) float32
        y : (B, E) float32
            1 where the entity is a label of the video, else 0.
        counts : (B,) float32, optional
            For each video 1 / (how many videos the mini-batch stands for), in place of 1 / B,
            times how many it stands for itself.

        Returns
        -------
        (E,) float32 or None
            Mean over the videos of the mini-batch.
        """
        z = self._logits[: len(x)]
        namespace(x).matmul(x, self._weights[:-1], out=z)
        z = z.reshape(len(x), *self._shape)
        loss = 0.0 if measure else None
        # A few videos at a time, which stay in the cache from the logits to their gradient.
        for start in range(0, len(x), self._videos):
            rows = slice(start, start + self._videos)
            weights = self._weights_of(y[rows], len(x), None if counts is None else counts[rows])
            part_loss = self._to_gradient(z[rows], y[rows], weights, measure)
            loss = loss + part_loss if measure else None
        self._descend(x, self._logits[: len(x)])
        return loss

    def _to_gradient(self, z: Any, y: Any, weights: Any, measure: bool) -> Any:
        """Put the gradient in place of the logits ``z`` (B, R, E), which lack the biases yet."""
        z += self._weights[-1].reshape(self._shape)
        loss = (self._family.loss(z, y) * weights).sum(0) if measure else None
        gradient = self._family.logit_gradient(z, y)
        # The mean over the batch: the rate does not depend on B.
        gradient *= weights if isinstance(weights, float) else weights[:, None]
        if gradient is not z:
            z[:] = gradient
        return loss

    def _weights_of(self, y: Any, n_videos: int, counts: Any) -> Any:
        """What each video weighs in the mean, for all entities or (B, E)."""
        weights = 1 / n_videos if counts is None else counts[:, None]
        if self._extra is None:
            return weights
        if self._family.coupled:  # a video counts as a whole: the mean over its labels
            return weights * (1 + (self._extra * label_shares(y)).sum(1))[:, None]
        return weights * (1 + self._extra * y)

    def remember(self) -> None:
        """Count the weights as they are into the average."""
        self._state.weight_sum += self._state.weights
        self._state.n_summed += 1

    def _descend(self, x: Any, dz: Any) -> None:
        """AdaGrad against the gradient of the weights, xᵀ·dz, a strip of features at a time."""
        options, width = self._options, x.shape[1]
        xp = namespace(x)
        for start in range(0, width, self._strip):
            stop = min(start + self._strip, width)
            weights = self._weights[start:stop]
            gradient, scratch = self._gradient[: stop - start], self._scratch[: stop - start]
            xp.matmul(x[:, start:stop].T, dz, out=gradient)
            if options.l2:
                add_scaled(gradient, weights, options.l2)
            accumulator = self._accumulator[start:stop]
            adagrad_update(weights, accumulator, gradient, options.learning_rate, scratch)
        # The bias is a constant feature (§4.3) that l2 does not pull.
        bias = dz.sum(0)
        adagrad_update(self._weights[-1], self._accumulator[-1], bias, options.learning_rate)


def _at_a_time(weights: Any, n_bytes: int, most: int) -> int:
    """Rows as wide as those of ``weights`` in ``n_bytes``, at most ``most``; all on a GPU."""
    if not isinstance(weights, np.ndarray):
        return most
    return int(np.clip(n_bytes // (4 * max(weights.shape[1], 1)), min(32, most), most))
