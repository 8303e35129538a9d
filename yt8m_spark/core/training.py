"""One mapper's work: train the classifiers of a block of entities (paper §4.3, AdaGrad mappers).

Axes: V videos, B videos of a mini-batch, D features, E entities of the block, R weight vectors
an entity. A block's weights are one array (R, E, D + 1), the last column the bias, so that a
mini-batch is two matrix products however many entities the block has. Entities never look at
each other: a block gives what its entities would give alone, to float rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.adagrad import adagrad_update
from yt8m_spark.core.losses import LossFamily

__all__ = [
    "BlockState",
    "Chunk",
    "TrainingOptions",
    "initial_state",
    "label_matrix",
    "mini_batches",
    "train_epoch",
    "with_bias",
]

# Spread of the first weights of a mixture, whose experts must not start alike. Ours.
MOE_INITIAL_STD = 1.0


@dataclass(frozen=True)
class TrainingOptions:
    """Hyper-parameters of the one-vs-all classifiers.

    Attributes
    ----------
    learning_rate : float
        AdaGrad's, 1.0 in the paper.
    batch_size : int
        B, 32 in the paper.
    n_epochs : int
        Passes over the training videos; ours.
    l2 : float
        Weight of ½|w|² (bias apart) added to the mean loss of a mini-batch; ours.
    initial_accumulator : float
        Where AdaGrad's sum of squares starts; ours. On real shards 1e-8 does far better than
        TensorFlow's 0.1, which swallows the small gradients of rare entities.
    seed : int
        Of the order of videos and of a mixture's first weights.
    """

    learning_rate: float = 1.0
    batch_size: int = 32
    n_epochs: int = 5
    l2: float = 1e-5
    initial_accumulator: float = 1e-8
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that would train to nonsense."""
        for name in ("batch_size", "n_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "initial_accumulator"):
            # In float32, which they are used in: 1e-50 is 0 there, and 1e39 infinite.
            if not np.finfo(np.float32).tiny <= getattr(self, name) <= np.finfo(np.float32).max:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.l2 < np.inf:
            raise ValueError(f"l2 must be at least 0, got {self.l2}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")


class Chunk(NamedTuple):
    """Some training videos: what one shard holds."""

    features: NDArray[np.float32]  # (V, D)
    label_offsets: NDArray[np.int64]  # (V + 1,), labels of video v are values[o[v]:o[v+1]]
    label_values: NDArray[np.int64]  # (L,), entity ids


class BlockState(NamedTuple):
    """Everything a mapper carries from pass to pass."""

    weights: NDArray[np.float32]  # (R, E, D + 1)
    accumulator: NDArray[np.float32]  # (R, E, D + 1), AdaGrad's sum of squared gradients


def initial_state(
    family: LossFamily, entities: NDArray[np.int64], n_features: int, options: TrainingOptions
) -> BlockState:
    """State before the first pass; a function of each entity's id, not of the block."""
    shape = (family.n_rows, len(entities), n_features + 1)
    weights = np.zeros(shape, dtype=np.float32)
    if family.name == "moe":
        for i, entity in enumerate(entities):
            rng = np.random.default_rng([options.seed, int(entity)])
            draw = rng.normal(0, MOE_INITIAL_STD, size=(family.n_rows, n_features))
            weights[:, i, :-1] = draw
    return BlockState(weights, np.full(shape, options.initial_accumulator, dtype=np.float32))


def train_epoch(
    state: BlockState,
    batches: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]],
    family: LossFamily,
    options: TrainingOptions,
) -> NDArray[np.float64]:
    """One pass of ``batches`` over the block; changes ``state`` in place.

    Parameters
    ----------
    state : BlockState
    batches : iterable of ((B, D + 1) float32, (B, E) float32)
        Features with a last column of 1, and labels of 0 and 1, as `mini_batches` gives them.
    family : LossFamily
    options : TrainingOptions

    Returns
    -------
    (E,) float64
        Mean loss of each entity over the pass, each video's taken before its own update.
    """
    rows, n_entities, width = state.weights.shape
    weights, accumulator = (a.reshape(rows * n_entities, width) for a in state)
    gradient = np.empty_like(weights)
    decay = np.empty_like(weights) if options.l2 else None
    total, n_videos = np.zeros(n_entities), 0
    for x, y in batches:
        z = (x @ weights.T).reshape(len(x), rows, n_entities)
        total += family.loss(z, y).sum(axis=0, dtype=np.float64)
        n_videos += len(x)
        dz = family.logit_gradient(z, y)
        dz *= np.float32(1 / len(x))  # mean over the batch: the rate does not depend on B
        np.matmul(dz.reshape(len(x), -1).T, x, out=gradient)
        if decay is not None:
            np.multiply(weights, np.float32(options.l2), out=decay)
            decay[:, -1] = 0  # the bias is not penalised
            gradient += decay
        adagrad_update(weights, accumulator, gradient, options.learning_rate)
    if n_videos == 0:
        raise ValueError("a pass needs at least one mini-batch")
    return total / n_videos


def mini_batches(
    chunks: Iterable[tuple[int, Chunk]],
    entities: NDArray[np.int64],
    options: TrainingOptions,
    epoch: int,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Shuffled mini-batches of numbered ``chunks``, for `train_epoch`.

    The order inside a chunk depends on seed, pass and the chunk's number alone, so every block
    of entities sees the same mini-batches. The last one of a chunk may be short.
    """
    for number, chunk in chunks:
        rng = np.random.default_rng([options.seed, epoch, number])
        order = rng.permutation(len(chunk.features))
        features = with_bias(chunk.features)
        labels = label_matrix(chunk, entities)
        for start in range(0, len(order), options.batch_size):
            rows = order[start : start + options.batch_size]
            yield features[rows], labels[rows].astype(np.float32)


def with_bias(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """``features`` (V, D) with a last column of 1: the bias is a constant feature (§4.3)."""
    out = np.ones((len(features), features.shape[1] + 1), dtype=np.float32)
    out[:, :-1] = features
    return out


def label_matrix(chunk: Chunk, entities: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Labels of ``chunk`` for ``entities`` (E,), ascending; (V, E), True where it is a label."""
    n_videos = len(chunk.label_offsets) - 1
    matrix = np.zeros((n_videos, len(entities)), dtype=bool)
    video = np.repeat(np.arange(n_videos), np.diff(chunk.label_offsets))
    column = np.searchsorted(entities, chunk.label_values)
    known = entities[np.minimum(column, len(entities) - 1)] == chunk.label_values
    matrix[video[known], column[known]] = True
    return matrix
