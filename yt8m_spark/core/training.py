"""One mapper's work: train the classifiers of a block of entities (paper §4.3, AdaGrad mappers).

Axes: V videos, B videos of a mini-batch, D features, E entities of the block. Entities never look
at each other: a block gives what its entities would give alone, to float rounding.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.arrays import asarray_like, namespace, to_numpy
from yt8m_spark.core.block_state import BlockState
from yt8m_spark.core.block_width import whole_columns
from yt8m_spark.core.chunks import Chunk
from yt8m_spark.core.label_noise import noise_aware
from yt8m_spark.core.label_rates import LabelRates, channel_of
from yt8m_spark.core.losses import LossFamily, check_tolerance
from yt8m_spark.core.mini_batch import MiniBatchStep
from yt8m_spark.core.training_options import TrainingOptions

__all__ = ["PROGRESS", "BlockTrainer", "label_matrix"]

# Names of what `BlockTrainer.progress` gives: the state, and where in which pass it is.
_POSITION = ("position", "losses", "loss_sum")
PROGRESS = (*(field.name for field in fields(BlockState)), *_POSITION)

# The loss is measured on one mini-batch of so many, where it decides nothing: knowing it costs more
# than its gradient.
_MEASURE_EVERY = 8
# About so many steps are averaged, however many there are: more cost time and tell no more.
_STEPS_AVERAGED = 256


class BlockTrainer:
    """Trains a block on whatever videos it is fed, pass by pass, and can be stopped in between.

    What becomes of the weights depends on the videos and their order alone, not on how they are
    cut into portions, nor on where a training is stopped and taken up again.

    Parameters
    ----------
    state : BlockState
        Changed in place.
    family : LossFamily
    options : TrainingOptions
    n_videos : int
        Videos of a pass.
    positive_weights : (E,) float32, optional
        What a positive video counts for each entity.
    rates : LabelRates, optional
        Of the labels of each entity, where ``options.label_noise`` is "missing".

    Attributes
    ----------
    epoch : int
        Passes that are done.
    n_done : int
        Videos of this pass that have been learned from: where to take a training up again.
    losses : list of (E,) float64
        Mean loss of each pass, each video's before its own update, over one mini-batch in eight
        (all of them if ``options.tolerance`` goes by it); NaN where an entity was at rest.
    """

    def __init__(
        self,
        state: BlockState,
        family: LossFamily,
        options: TrainingOptions,
        n_videos: int,
        positive_weights: NDArray[np.float32] | None = None,
        rates: LabelRates | None = None,
    ) -> None:
        self.state = state
        self.epoch = 0
        self.n_done = 0
        self.losses: list[NDArray[np.float64]] = []
        self._family = family
        self._options = options
        self._n_videos = n_videos
        self._positive_weights = positive_weights
        self._rates = rates
        self._steps_a_pass = -(-n_videos // options.batch_size)
        averaged = options.average * options.n_epochs * self._steps_a_pass
        check_tolerance(family.name, options.tolerance)
        self._remember_every = max(int(averaged) // _STEPS_AVERAGED, 1)
        self._rest: list[tuple[Any, Any]] = []
        self._start_pass()

    @property
    def done(self) -> bool:
        """Whether all passes are done, or every entity has converged."""
        return self.epoch >= self._options.n_epochs or not self.state.active.any()

    def feed(self, features: Any, labels: Any) -> None:
        """Learn from the next videos of a pass; the last ones wait for a mini-batch to fill.

        Parameters
        ----------
        features : (V, D) float32
        labels : (V, E) float32
            1 where the entity is a label of the video, else 0.
        """
        size = self._options.batch_size
        labels = labels if self._all else labels[:, asarray_like(self._places, labels)]
        start = 0
        if self._rest:
            start = size - sum(len(x) for x, _ in self._rest)
            self._rest.append((features[:start], labels[:start]))
            if start > len(features):
                return
            self._take_step(*self._joined_rest())
        while start + size <= len(features):
            self._take_step(features[start : start + size], labels[start : start + size])
            start += size
        if start < len(features):
            self._rest = [(features[start:], labels[start:])]

    def end_pass(self) -> None:
        """Learn from what is left over, note the losses, and stop entities that have converged."""
        if self._rest:
            self._take_step(*self._joined_rest())
        if self.n_done != self._n_videos:
            raise ValueError(f"a pass needs {self._n_videos} videos, got {self.n_done}")
        self._lay_back()
        losses = np.full(len(self.state.active), np.nan)
        losses[self._places] = to_numpy(self._loss_sum) / self._n_measured
        if self.losses and self._options.tolerance:
            fell = losses < self.losses[-1] * (1 - self._options.tolerance)
            self.state.active &= fell
        self.losses.append(losses)
        self.epoch += 1
        self._start_pass()

    def progress(self) -> dict[str, NDArray[Any]]:
        """Everything needed to go on from here, as NumPy arrays by name; see `resume`."""
        self._lay_back()
        position = np.array([self.epoch, self.n_done, self._n_measured])
        losses = np.array(self.losses).reshape(len(self.losses), len(self.state.active))
        loss_sum = np.zeros(len(self.state.active))
        loss_sum[self._places] = to_numpy(self._loss_sum)
        named = {"position": position, "losses": losses, "loss_sum": loss_sum}
        return self.state.arrays() | named

    def resume(self, progress: dict[str, NDArray[Any]]) -> None:
        """Go on where ``progress`` was told; the next videos fed must be those after ``n_done``."""
        kept = {name: array for name, array in progress.items() if name not in _POSITION}
        self.state = BlockState(**kept).like(self.state.weights)
        self.losses = list(progress["losses"])
        self._start_pass()
        self.epoch, self.n_done, self._n_measured = map(int, progress["position"])
        active_sum = progress["loss_sum"][self._places]
        self._loss_sum = asarray_like(active_sum, self.state.weights)

    def _start_pass(self) -> None:
        """Work on the entities that have not converged, in arrays of their own if some have.

        The last one is there several times to fill the columns of a product (`whole_columns`).
        """
        self.n_done, self._n_measured, self._rest = 0, 0, []
        places = np.flatnonzero(self.state.active)
        n_filled = self._n_columns(len(places))
        self._places = np.append(places, np.repeat(places[-1:], n_filled - len(places)))
        self._all = np.array_equal(self._places, np.arange(len(self.state.active)))
        self._part = self.state if self._all else self.state.take(self._places)
        self._loss_sum = asarray_like(np.zeros(len(self._places)), self.state.weights)
        extra = self._positive_weights
        if extra is not None:
            extra = asarray_like(extra[self._places], self.state.weights)
        channel = None
        if self._rates is not None:
            channel = channel_of(self._rates.take(self._places), self.state.weights)
        family = noise_aware(self._family, self._options, channel)
        self._step = MiniBatchStep(self._part, family, self._options, extra)

    def _n_columns(self, n_entities: int) -> int:
        """Columns to work on; where entities are coupled no one may be there twice."""
        if not n_entities or self._family.coupled:
            return n_entities
        return whole_columns(n_entities, self._family.n_rows)

    def _lay_back(self) -> None:
        """Bring ``state`` up to date."""
        if not self._all:
            self.state.put(self._places, self._part)

    def _joined_rest(self) -> tuple[Any, Any]:
        rest, self._rest = self._rest, []
        xp = namespace(rest[0][0])
        x, y = (xp.concatenate(parts) for parts in zip(*rest, strict=True))
        return x, y

    def _take_step(self, x: Any, y: Any) -> None:
        number = self.n_done // self._options.batch_size
        counts = None
        n_videos = len(x)
        measured = self._options.tolerance > 0 or number % _MEASURE_EVERY == 0
        if self._options.negative_rate < 1:
            x, y, counts = self._thinned(x, y, number)
        loss = self._step.step(x, y, counts, measure=measured)
        if measured:
            self._loss_sum += loss * n_videos
            self._n_measured += n_videos
        self.n_done += n_videos
        passes = self.epoch + self.n_done / self._n_videos
        if passes > self._options.averaged_from and number % self._remember_every == 0:
            self._step.remember()

    def _thinned(self, x: Any, y: Any, number: int) -> tuple[Any, Any, Any]:
        """Videos with a label of the block, and some of the others, which count for all of them."""
        rate = self._options.negative_rate
        rng = np.random.default_rng([self._options.seed, self.epoch, number])
        labelled = np.asarray(to_numpy(y).any(axis=1))
        kept = np.flatnonzero(labelled | (rng.random(len(labelled)) < rate))
        counts = np.where(labelled[kept], 1, 1 / rate).astype(np.float32) / np.float32(len(x))
        return x[kept], y[kept], asarray_like(counts, x)


def label_matrix(chunk: Chunk, entities: NDArray[np.int64]) -> NDArray[np.float32]:
    """Labels of ``chunk`` for ``entities`` (E,), ascending; (V, E), 1 where it is a label."""
    n_videos = len(chunk.label_offsets) - 1
    matrix = np.zeros((n_videos, len(entities)), dtype=np.float32)
    video = np.repeat(np.arange(n_videos), np.diff(chunk.label_offsets))
    column = np.searchsorted(entities, chunk.label_values)
    known = entities[np.minimum(column, len(entities) - 1)] == chunk.label_values
    matrix[video[known], column[known]] = 1
    return matrix
