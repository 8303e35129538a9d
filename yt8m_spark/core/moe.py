"""Mixture of experts for a block of entities (paper §4.3.3, Eq. 5-7).

Axes: B videos of a mini-batch, H experts, E entities of the block.

Every function here works on *logits* ``z`` of shape (B, 2H, E): ``z[:, :H]`` are the gates'
w_h·x and ``z[:, H:]`` the experts' u_h·x. They come from one matrix product for the whole block;
the chain rule's last step, multiplying by x, is another (`core.training`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["moe_logit_gradient", "moe_loss", "moe_probability"]

Floats = NDArray[np.floating]

# Eq. 6-7 divide by p(1 - p); the floor keeps a p that rounds to 0 or 1 from giving 0 / 0.
PROBABILITY_FLOOR = 1e-7


def moe_probability(z: Floats) -> Floats:
    """p(e|x) of Eq. 5's mixture, (B, E), for logits ``z`` (B, 2H, E)."""
    gate, expert = _activations(z)
    return np.asarray((gate * expert).sum(axis=1))


def moe_loss(z: Floats, y: Floats) -> Floats:
    """Log-loss (Eq. 5) of each video and entity, (B, E), for labels ``y`` (B, E) of 0 and 1."""
    p = moe_probability(z).clip(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return np.asarray(-np.log(np.where(y > 0, p, 1 - p)))


def moe_logit_gradient(z: Floats, y: Floats) -> Floats:
    """Gradient of each video's log-loss with respect to its logits, (B, 2H, E).

    Paper: Eq. 6 (gates) and Eq. 7 (experts), without their last factor x.

    Parameters
    ----------
    z : (B, 2H, E) float
        Gate logits, then expert logits.
    y : (B, E) float
        1 where the entity is a label of the video, else 0.
    """
    gate, expert = _activations(z)
    h = gate.shape[1]
    p = (gate * expert).sum(axis=1).clip(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    error = ((p - y) / (p * (1 - p)))[:, None]  # (B, 1, E)
    gradient = np.empty_like(z)
    gradient[:, :h] = error * gate * (expert - p[:, None])  # Eq. 6
    gradient[:, h:] = error * gate * expert * (1 - expert)  # Eq. 7
    return gradient


def _activations(z: Floats) -> tuple[Floats, Floats]:
    """p(h|x) and p(y=1|x, h), each (B, H, E)."""
    h = z.shape[1] // 2
    # The dummy state is one more logit, fixed at 0, that never predicts the entity. Shifting by
    # the largest logit, the dummy's among them, keeps the exponentials from overflowing.
    shift = np.maximum(z[:, :h].max(axis=1, keepdims=True), 0)
    weight = np.exp(z[:, :h] - shift)
    gate = weight / (weight.sum(axis=1, keepdims=True) + np.exp(-shift))
    return gate, expit(z[:, h:])
