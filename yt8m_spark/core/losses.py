"""The three classifier families of paper §4.3: logistic, hinge (SVM) and mixture of experts.

Axes: B videos of a mini-batch, R weight vectors an entity (1; MoE 2H), E entities of a block.
A family is three functions of the logits ``z`` (B, R, E) that its weights give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from yt8m_spark.core.moe import moe_logit_gradient, moe_loss, moe_probability

__all__ = ["LOSSES", "LossFamily", "loss_family"]

Floats = NDArray[np.floating]

HINGE_MARGIN = 1.0  # b of §4.3.2


class LossFamily(NamedTuple):
    """What tells one kind of one-vs-all classifier from another."""

    name: str
    n_rows: int  # R
    loss: Callable[[Floats, Floats], Floats]  # z, y -> (B, E), not averaged
    logit_gradient: Callable[[Floats, Floats], Floats]  # z, y -> (B, R, E), not averaged
    score: Callable[[Floats], Floats]  # z -> (B, E), in [0, 1]


def loss_family(name: str, n_experts: int = 2) -> LossFamily:
    """Family ``name``, one of `LOSSES`; ``n_experts`` is H and matters to "moe" alone.

    Raises
    ------
    ValueError
        If there is no such family or H < 1.
    """
    if name == "logistic":
        return LossFamily(name, 1, _logistic_loss, _logistic_gradient, _logistic_score)
    if name == "hinge":
        return LossFamily(name, 1, _hinge_loss, _hinge_gradient, _logistic_score)
    if name == "moe":
        if n_experts < 1:
            raise ValueError(f"n_experts must be at least 1, got {n_experts}")
        return LossFamily(name, 2 * n_experts, moe_loss, moe_logit_gradient, moe_probability)
    raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {name!r}")


LOSSES = ("logistic", "hinge", "moe")


def _logistic_loss(z: Floats, y: Floats) -> Floats:
    """-log sigmoid(z) for a label, -log(1 - sigmoid(z)) for none (§4.3.1)."""
    return np.asarray(np.logaddexp(0, z[:, 0]) - y * z[:, 0])


def _logistic_gradient(z: Floats, y: Floats) -> Floats:
    return np.asarray(expit(z) - y[:, None])


def _logistic_score(z: Floats) -> Floats:
    """Sigmoid of the one logit.

    The paper does not say how an SVM's margin becomes a score in [0, 1]; ours is the sigmoid,
    which keeps the order of videos and, the margin being the same, that of entities.
    """
    return np.asarray(expit(z[:, 0]))


def _hinge_loss(z: Floats, y: Floats) -> Floats:
    """max(0, b - s z) for the signed label s (§4.3.2)."""
    return np.asarray(np.maximum(0, HINGE_MARGIN - (2 * y - 1) * z[:, 0]))


def _hinge_gradient(z: Floats, y: Floats) -> Floats:
    """-s inside the margin, 0 outside; at the corner, where both are subgradients, 0."""
    sign = (2 * y - 1)[:, None]
    return np.where(sign * z < HINGE_MARGIN, -sign, 0).astype(z.dtype)
