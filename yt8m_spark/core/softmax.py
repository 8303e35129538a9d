"""Softmax over all entities, for targets of one label a video (paper §4.1.2, §5.3).

Axes: B videos of a mini-batch, E entities, all that there are: they share the probability of 1.

Logits ``z`` are (B, 1, E), as those of the other families of §4.3 with one weight vector an entity;
arrays are NumPy's or torch's (`core.arrays`).
"""

from __future__ import annotations

from typing import Any

from yt8m_spark.core.arrays import namespace

__all__ = ["label_shares", "softmax_logit_gradient", "softmax_loss", "softmax_probability"]


def softmax_probability(z: Any) -> Any:
    """p(e|x), (B, E), with a sum of 1 over the entities; uses ``z`` (B, 1, E) up."""
    xp = namespace(z)
    p = z[:, 0]
    p -= xp.amax(p, 1)[:, None]  # so that no exponential overflows
    xp.exp(p, out=p)
    p /= p.sum(1)[:, None]
    return xp.clip(p, 0, 1, out=p)  # rounding may leave it above 1


def softmax_loss(z: Any, y: Any) -> Any:
    """Cross-entropy by entity, (B, E): its sum over the entities is the loss of a video.

    Parameters
    ----------
    z : (B, 1, E) float
    y : (B, E) float
        1 where the entity is a label of the video, else 0.

    Notes
    -----
    The paper does not say what a video of several labels should give: here each of them an equal
    share, as in `deep.outputs.Softmax`. A video without labels has a loss of 0.
    """
    xp = namespace(z)
    shifted = z[:, 0] - xp.amax(z[:, 0], 1)[:, None]
    log_sum = xp.log(xp.exp(shifted).sum(1))[:, None]
    return label_shares(y) * (log_sum - shifted)


def softmax_logit_gradient(z: Any, y: Any) -> Any:
    """Gradient of a video's loss with respect to its logits, (B, 1, E); uses ``z`` up.

    The probability less the share of the labels; nothing for a video without labels.
    """
    xp = namespace(z)
    shares = label_shares(y)
    p = softmax_probability(z)
    p *= xp.clip(y.sum(1), 0, 1)[:, None]
    p -= shares
    return z


def label_shares(y: Any) -> Any:
    """Labels ``y`` (B, E) of 0 and 1, those of a video scaled to a sum of 1."""
    return y / namespace(y).clip(y.sum(1), 1, None)[:, None]
