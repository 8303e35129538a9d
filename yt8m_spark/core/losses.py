"""The classifier families of paper §4.3: logistic, hinge (SVM), mixture of experts; and softmax.

Axes: B videos of a mini-batch, R weight vectors an entity (1; MoE 2H), E entities of a block.
A family is three functions of the logits ``z`` (B, R, E) that its weights give. Arrays
are NumPy's or torch's (`core.arrays`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from yt8m_spark.core.arrays import namespace
from yt8m_spark.core.moe import moe_logit_gradient, moe_loss, moe_probability
from yt8m_spark.core.sigmoid import sigmoid, softplus
from yt8m_spark.core.softmax import softmax_logit_gradient, softmax_loss, softmax_probability

__all__ = ["COUPLED", "LOSSES", "LossFamily", "loss_family"]

HINGE_MARGIN = 1.0  # b of §4.3.2


class LossFamily(NamedTuple):
    """What tells one kind of classifier from another."""

    name: str
    n_rows: int  # R
    loss: Callable[[Any, Any], Any]  # z, y -> (B, E), not averaged
    logit_gradient: Callable[[Any, Any], Any]  # z, y -> (B, R, E), not averaged; uses z up
    score: Callable[[Any], Any]  # z -> (B, E), in [0, 1]; may use z up
    coupled: bool = False  # entities are told from each other: z must have all of them

    @property
    def n_experts(self) -> int:
        """H; 1 for a family that is no mixture."""
        return max(self.n_rows // 2, 1)


def loss_family(name: str, n_experts: int = 2) -> LossFamily:
    """Family ``name``, of `LOSSES` or `COUPLED`; ``n_experts`` is H and matters to "moe" alone.

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
    if name == "softmax":
        functions = softmax_loss, softmax_logit_gradient, softmax_probability
        return LossFamily(name, 1, *functions, coupled=True)
    raise ValueError(f"loss must be one of {', '.join(LOSSES + COUPLED)}, got {name!r}")


LOSSES = ("logistic", "hinge", "moe")  # one-vs-all, the paper's (§4.3)
COUPLED = ("softmax",)  # one classifier of all entities


def check_tolerance(loss: str, tolerance: float) -> None:
    """Refuse to stop entities one by one where they learn together.

    Raises
    ------
    ValueError
        If ``loss`` is of `COUPLED` and ``tolerance`` is above 0.
    """
    if loss in COUPLED and tolerance:
        what = f"tolerance must be 0 for {loss}, whose entities learn together"
        raise ValueError(f"{what}; got {tolerance}")


def _logistic_loss(z: Any, y: Any) -> Any:
    """-log sigmoid(z) for a label, -log(1 - sigmoid(z)) for none (§4.3.1)."""
    return softplus(z[:, 0]) - y * z[:, 0]


def _logistic_gradient(z: Any, y: Any) -> Any:
    gradient = sigmoid(z, out=z)
    gradient -= y[:, None]
    return gradient


def _logistic_score(z: Any) -> Any:
    """Sigmoid of the one logit.

    The paper does not say how an SVM's margin becomes a score in [0, 1]; ours is the sigmoid,
    which keeps the order of videos and, the margin being the same, that of entities.
    """
    return sigmoid(z[:, 0])


def _hinge_loss(z: Any, y: Any) -> Any:
    """max(0, b - s z) for the signed label s (§4.3.2)."""
    return namespace(z).clip(HINGE_MARGIN - (2 * y - 1) * z[:, 0], 0, None)


def _hinge_gradient(z: Any, y: Any) -> Any:
    """-s inside the margin, 0 outside; at the corner, where both are subgradients, 0."""
    sign = (2 * y - 1)[:, None]
    return (sign * z < HINGE_MARGIN) * -sign
