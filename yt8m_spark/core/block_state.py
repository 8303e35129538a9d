"""What a mapper carries from mini-batch to mini-batch: the state of a block of entities.

Axes: D features, R weight vectors an entity, E entities of the block. The arrays lie feature by
feature, (D + 1, R, E) with the biases last: then both matrix products of a mini-batch run along
the rows as they are stored, and each feature's rows are aligned, bias or not.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from yt8m_spark.core.arrays import asarray_like, to_numpy
from yt8m_spark.core.label_rates import LabelRates
from yt8m_spark.core.losses import LossFamily
from yt8m_spark.core.training_options import TrainingOptions

__all__ = [
    "BlockState",
    "expected_square",
    "initial_state",
    "prior_biases",
    "prior_probability",
]

# AdaGrad's sums start as if no more than this part of a pass had been seen.
_MOST_OF_A_PASS = 1 / 3


@dataclass
class BlockState:
    """Weights of a block and all that AdaGrad and averaging need to go on.

    Arrays are NumPy's or torch's (`core.arrays`), and change in place.
    """

    weights: Any  # (D + 1, R, E) float32
    accumulator: Any  # (D + 1, R, E) float32, AdaGrad's sum of squared gradients
    weight_sum: Any  # (D + 1, R, E) float32, of the weights at the steps to average
    n_summed: Any  # (E,) float32, how many steps those were
    active: NDArray[np.bool_]  # (E,), False once converged

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, by name, as NumPy arrays."""
        return {f.name: to_numpy(getattr(self, f.name)) for f in fields(self)}

    def like(self, array: Any) -> BlockState:
        """Return the state as arrays of the kind and on the device of ``array``."""
        named = {n: asarray_like(a, array) for n, a in self.arrays().items() if n != "active"}
        return BlockState(**named, active=self.active)

    def take(self, entities: NDArray[np.intp]) -> BlockState:
        """Copy of some ``entities``, places in the block; one may be there several times."""
        parts = {f.name: getattr(self, f.name)[..., entities] for f in fields(self)}
        # NumPy lays what is taken along the last axis in another order, of which there is no view
        # as rows of R·E columns.
        rows = {
            n: np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a for n, a in parts.items()
        }
        return BlockState(**rows)

    def put(self, entities: NDArray[np.intp], part: BlockState) -> None:
        """Lay ``part``, what became of ``take(entities)``, back to its place."""
        for field in fields(self):
            getattr(self, field.name)[..., entities] = getattr(part, field.name)

    def rest_on_prior(
        self, family: LossFamily, prior: NDArray[np.float64], which: NDArray[np.bool_]
    ) -> None:
        """Let entities ``which`` (E,) say how frequent they are of every video, and rest there."""
        self.weights[..., which] = 0
        biases = prior_biases(family, prior)
        if family.name == "hinge":  # whose margin starts nearer to 0, but to learn
            biases = logit(prior)[None]
        self.weights[-1][:, which] = biases[:, which]
        self.active &= ~which

    def final_weights(self) -> NDArray[np.float32]:
        """The trained weights (R, E, D + 1), biases last: averaged, where any step was."""
        weights, n_summed = to_numpy(self.weights), to_numpy(self.n_summed)
        mean = to_numpy(self.weight_sum) / np.maximum(n_summed, 1)
        chosen = np.where(n_summed > 0, mean, weights)
        return np.ascontiguousarray(chosen.transpose(1, 2, 0))

    def final_accumulator(self) -> NDArray[np.float32]:
        """AdaGrad's sums (R, E, D + 1)."""
        return np.ascontiguousarray(to_numpy(self.accumulator).transpose(1, 2, 0))


def initial_state(
    family: LossFamily,
    entities: NDArray[np.int64],
    n_features: int,
    options: TrainingOptions,
    prior: NDArray[np.float64] | None = None,
    n_videos: int = 0,
    rates: LabelRates | None = None,
) -> BlockState:
    """State before the first pass; a function of each entity's id, not of the block.

    Parameters
    ----------
    entities : (E,) int64
    prior : (E,) float64, optional
        Of `prior_probability`: where the biases start, unless ``options.prior_bias`` is off, and
        AdaGrad's sums. Without it neither looks at how frequent an entity is.
    n_videos : int
        Of a pass.
    rates : LabelRates, optional
        Of "missing" labels, of which ``prior`` is the share observed: then biases start at the
        true rate.
    """
    shape = (n_features + 1, family.n_rows, len(entities))
    weights = np.zeros(shape, dtype=np.float32)
    if family.name == "moe":
        for i, entity in enumerate(entities):
            rng = np.random.default_rng([options.seed, int(entity)])
            draw = rng.normal(0, options.moe_initial_std, size=(family.n_rows, n_features))
            weights[:-1, :, i] = draw.T
    accumulator = np.full(shape, options.initial_accumulator, dtype=np.float32)
    if prior is not None:
        videos = min(options.accumulator_videos, n_videos * _MOST_OF_A_PASS)
        batches = videos / options.batch_size
        seen = batches * expected_square(prior, options.batch_size, rates)
        accumulator[:-1] = np.maximum(seen / n_features, options.initial_accumulator)
        accumulator[-1] = np.maximum(seen, options.initial_accumulator)
        if options.prior_bias:
            weights[-1] = prior_biases(family, prior if rates is None else rates.true_rate)
    return BlockState(
        weights,
        accumulator,
        np.zeros_like(weights),
        np.zeros(len(entities), dtype=np.float32),
        np.ones(len(entities), dtype=bool),
    )


def prior_probability(
    n_positives: NDArray[np.int64],
    n_videos: int,
    positive_weights: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """Share of ``n_videos`` that each entity labels, (E,), with half a video added on either side.

    So an entity without positives is rare, not impossible. With ``positive_weights`` (E,) a
    positive counts for so many.
    """
    counted = n_positives * (1.0 if positive_weights is None else positive_weights)
    return np.asarray((counted + 0.5) / (n_videos - n_positives + counted + 1))


def expected_square(
    prior: NDArray[np.float64], batch_size: int, rates: LabelRates | None = None
) -> NDArray[np.float64]:
    """Square that the gradient of a bias has on average, (E,), for entities of ``prior`` (E,).

    A classifier that says the prior p of every video errs by p or 1 - p, with mean square
    p (1 - p); the mean over B videos has a B-th of it. For features of length 1 that of a weight
    is a D-th of the bias's. Exact for logistic regression whose positives count once; for the
    other families and weights it is taken as the scale, which does as well on real videos.

    With ``rates`` it says the true rate q and errs by q - π of labelled videos; of the others by
    as much as makes the mean 0. The mean square is (π - q)² p / (1 - p).
    """
    if rates is not None:
        informed = np.square(rates.precision - rates.true_rate)
        return np.asarray(informed * prior / (1 - prior) / batch_size)
    return np.asarray(prior * (1 - prior) / batch_size)


def prior_biases(family: LossFamily, prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Biases (R, E) of classifiers that say how frequent their entities are, (E,), of any video.

    A mixture's gates start at 0, so that H of H + 1 states have an expert, and the experts make up
    for the one that has none. A hinge says yes or no: its margin starts at the log-odds, within -1
    and 1, beyond which nothing is learned from the videos on that side.
    """
    if family.name == "hinge":
        return logit(prior).clip(-1, 1)[None]
    if family.name == "logistic":
        return logit(prior)[None]
    if family.coupled:
        return np.log(prior)[None]
    h = family.n_experts
    says_yes = np.minimum(prior * (h + 1) / h, 0.5 + prior / 2)  # stays below 1
    return np.concatenate([np.zeros((h, len(prior))), np.tile(logit(says_yes), (h, 1))])
