"""Mixture of experts for a block of entities (paper §4.3.3, Eq. 5-7).

Axes: B videos of a mini-batch, H experts, E entities of the block.

Every function here works on *logits* ``z`` of shape (B, 2H, E): ``z[:, :H]`` are the gates'
w_h·x and ``z[:, H:]`` the experts' u_h·x. They come from one matrix product for the whole block;
the chain rule's last step, multiplying by x, is another (`core.mini_batch`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yt8m_spark.core.arrays import namespace
from yt8m_spark.core.sigmoid import sigmoid

__all__ = [
    "PROBABILITY_FLOOR",
    "log_loss_slope",
    "moe_logit_gradient",
    "moe_loss",
    "moe_probability",
    "probability_of_label",
]

# Eq. 6-7 divide by p(1 - p); the floor keeps a p that rounds to 0 or 1 from giving 0 / 0.
PROBABILITY_FLOOR = 1e-7


def moe_probability(z: Any) -> Any:
    """p(e|x) of Eq. 5's mixture, (B, E), for logits ``z`` (B, 2H, E)."""
    gate, expert = _activations(z)
    return namespace(z).clip((gate * expert).sum(1), 0, 1)  # rounding may leave it above 1


def moe_loss(z: Any, y: Any) -> Any:
    """Log-loss (Eq. 5) of each video and entity, (B, E), for labels ``y`` (B, E) of 0 and 1."""
    return -namespace(z).log(probability_of_label(moe_probability(z), y))


def log_loss_slope(p: Any, y: Any) -> Any:
    """d(log-loss) / dp, (B, E): (p - y) / (p (1 - p)), which is -1 / p or 1 / (1 - p)."""
    return (1 - 2 * y) / probability_of_label(p, y)


def moe_logit_gradient(z: Any, y: Any, slope: Callable[[Any, Any], Any] = log_loss_slope) -> Any:
    """Gradient of each video's loss with respect to its logits, (B, 2H, E).

    Paper: Eq. 6 (gates) and Eq. 7 (experts), without their last factor x.

    Parameters
    ----------
    z : (B, 2H, E) float
        Gate logits, then expert logits.
    y : (B, E) float
        1 where the entity is a label of the video, else 0.
    slope : callable
        d(loss) / dp of ``p`` and ``y``, each (B, E); the log-loss's by default.
    """
    gate, expert = _activations(z)
    h = gate.shape[1]
    gradient = namespace(z).empty_like(z)
    on_gate, on_expert = gradient[:, :h], gradient[:, h:]
    on_gate[:] = gate * expert
    p = on_gate.sum(1)
    error = slope(p, y)[:, None]  # (B, 1, E)
    on_gate *= error
    on_expert[:] = on_gate * (1 - expert)  # Eq. 7
    gate *= p[:, None]
    gate *= error
    on_gate -= gate  # Eq. 6: error · gate · (expert - p)
    return gradient


def probability_of_label(p: Any, y: Any) -> Any:
    """``p`` where ``y`` is 1, 1 - p where it is 0; never 0."""
    xp = namespace(p)
    return xp.clip(xp.where(y > 0, p, 1 - p), PROBABILITY_FLOOR, 1)


def _activations(z: Any) -> tuple[Any, Any]:
    """p(h|x) and p(y=1|x, h), each (B, H, E)."""
    xp = namespace(z)
    h = z.shape[1] // 2
    # The dummy state is one more logit, fixed at 0, that never predicts the entity. Shifting by
    # the largest logit, the dummy's among them, keeps the exponentials from overflowing.
    shift = xp.clip(xp.amax(z[:, :h], 1), 0, None)[:, None]
    gate = z[:, :h] - shift
    xp.exp(gate, out=gate)
    gate /= (gate.sum(1) + xp.exp(-shift)[:, 0])[:, None]
    return gate, sigmoid(z[:, h:])
