"""Losses of labels that are wrong or missing (paper §3.5 and §6, there [25], [29] and [40]).

Machine labels of videos are right in 78.8 % of the cases and have 14.5 % of what raters say (§3.5).
A loss of this module takes the place of a family's own where videos are learned from; what a
classifier scores stays the probability that the entity is in the video.

Axes: B videos of a mini-batch, R weight vectors an entity, E entities of a block. Arrays are
NumPy's or torch's (`core.arrays`).

"bootstrap_soft", "bootstrap_hard"
    Reed et al. 2015 ([29]), for one entity against all others: the label is trusted by a share β
    (``label_trust``) and the classifier itself by the rest.
"missing"
    Mnih and Hinton 2012 ([25]): labels are seen through a channel, which loses true ones and lets
    wrong ones in at rates of each entity. With p the probability that the entity is there, that
    of a label is ρ p + φ (1 - p), and the loss is the log-loss of the label as it is seen. Labels
    that are missing but never wrong, as in [40], are the case π = 1, in which φ is 0.

Another answer to missing labels is not here, for it earned too little: to weigh a video without
the label by how probably it is without the entity gained a seventh of what "missing" does
(``benchmarks/what_do_noise_aware_losses_gain_on_clean_truth.py`` has the figures of the others).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from yt8m_spark.core.arrays import namespace
from yt8m_spark.core.label_rates import Channel
from yt8m_spark.core.losses import LossFamily
from yt8m_spark.core.moe import (
    PROBABILITY_FLOOR,
    log_loss_slope,
    moe_logit_gradient,
    moe_probability,
    probability_of_label,
)
from yt8m_spark.core.sigmoid import sigmoid, softplus
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.errors import InputError

__all__ = ["check_label_noise", "noise_aware"]

OfLabels = Callable[[Any, Any], Any]  # of logits or probabilities, and labels
Functions = tuple[OfLabels, OfLabels]  # loss and gradient, of logits and labels

# exp(50) times any rate, and its inverse, are within float32.
_LARGEST = 50.0


def check_label_noise(loss: str, label_noise: str) -> None:
    """Refuse what a family has no probability for.

    Raises
    ------
    InputError
        If ``loss`` is "hinge" and ``label_noise`` needs a probability: a margin is none, and what
        came of it would mean nothing. If it is "softmax", whose labels exclude each other.
    """
    if loss == "softmax" and label_noise != "none":
        what = "label_noise is of independent entities, which those of softmax are not"
        raise InputError(what, expected="none", found=label_noise)
    if loss == "hinge" and label_noise in ("bootstrap_soft", "missing"):
        raise InputError(
            "a hinge gives no probability for label_noise",
            expected="none or bootstrap_hard",
            found=label_noise,
        )


def noise_aware(
    family: LossFamily, options: TrainingOptions, channel: Channel | None = None
) -> LossFamily:
    """``family`` with the loss of ``options.label_noise``; itself for "none".

    Parameters
    ----------
    family : LossFamily
    options : TrainingOptions
    channel : Channel, optional
        Of the entities whose logits come; "missing" needs it.

    Notes
    -----
    A positive weight multiplies the loss of a video that is labelled, whether rightly or not.
    Averaging, l2 and the mini-batches know nothing of it.

    Raises
    ------
    ValueError
        As `check_label_noise`, or if "missing" has no channel.
    """
    noise = options.label_noise
    check_label_noise(family.name, noise)
    if noise == "none":
        return family
    if noise != "missing":
        of_noise = _soft if noise == "bootstrap_soft" else _hard
        loss, gradient = of_noise(family, options.trust)
    elif channel is None:
        raise ValueError("label_noise missing needs the rates of the labels, got none")
    else:
        loss, gradient = _missing(family, channel)
    return family._replace(loss=loss, logit_gradient=gradient)


def _soft(family: LossFamily, trust: float) -> Functions:
    if family.name == "logistic":
        return partial(_soft_logistic_loss, trust=trust), partial(_soft_gradient, trust=trust)
    return _of_mixture(partial(_soft_loss, trust=trust), partial(_soft_slope, trust=trust))


def _hard(family: LossFamily, trust: float) -> Functions:
    if family.name == "logistic":
        return partial(_hard_logistic_loss, trust=trust), partial(_hard_gradient, trust=trust)
    if family.name == "hinge":
        pair = (family.loss, family.logit_gradient)
        loss, gradient = (partial(_hard_hinge, trust=trust, of=of) for of in pair)
        return loss, gradient
    return _of_mixture(partial(_hard_loss, trust=trust), partial(_hard_slope, trust=trust))


def _missing(family: LossFamily, channel: Channel) -> Functions:
    if family.name == "logistic":
        loss, gradient = _channel_logistic_loss, _channel_gradient
        return partial(loss, channel=channel), partial(gradient, channel=channel)
    return _of_mixture(
        partial(_channel_loss, channel=channel), partial(_channel_slope, channel=channel)
    )


def _of_mixture(loss: OfLabels, slope: OfLabels) -> Functions:
    """Functions of a mixture's logits, from the loss of its probability and the slope of that."""
    return partial(_mixture_loss, of=loss), partial(moe_logit_gradient, slope=slope)


def _mixture_loss(z: Any, y: Any, of: OfLabels) -> Any:
    return of(moe_probability(z), y)


def _soft_logistic_loss(z: Any, y: Any, trust: float) -> Any:
    """-t log p - (1 - t) log(1 - p) for t = β y + (1 - β) p (Reed et al., Eq. 6)."""
    logit = z[:, 0]
    return softplus(logit) - logit * _target(y, sigmoid(logit), trust)


def _soft_gradient(z: Any, y: Any, trust: float) -> Any:
    """β (p - y) - (1 - β) z p (1 - p): the second part makes p surer of what it says."""
    gradient = sigmoid(z)
    z *= gradient
    z *= 1 - gradient
    z *= 1 - trust
    gradient -= y[:, None]
    gradient *= trust
    gradient -= z
    return gradient


def _soft_loss(p: Any, y: Any, trust: float) -> Any:
    log = namespace(p).log
    yes, no = _floored(p), _floored(1 - p)
    target = _target(y, yes, trust)
    return -(target * log(yes) + (1 - target) * log(no))


def _soft_slope(p: Any, y: Any, trust: float) -> Any:
    entropy = namespace(p).log(_floored(1 - p) / _floored(p))
    return trust * log_loss_slope(p, y) + (1 - trust) * entropy


def _hard_logistic_loss(z: Any, y: Any, trust: float) -> Any:
    """-t log p - (1 - t) log(1 - p) for t = β y + (1 - β) [p > 1/2] (Reed et al., Eq. 7)."""
    logit = z[:, 0]
    return softplus(logit) - logit * _target(y, logit > 0, trust)


def _hard_gradient(z: Any, y: Any, trust: float) -> Any:
    target = _target(y, z[:, 0] > 0, trust)
    gradient = sigmoid(z, out=z)
    gradient -= target[:, None]
    return gradient


def _hard_hinge(z: Any, y: Any, trust: float, of: OfLabels) -> Any:
    """``of`` the label by β, and of the side that the margin is on by the rest."""
    own = _as_labels(z[:, 0] > 0, y)
    return trust * of(z, y) + (1 - trust) * of(z, own)


def _hard_loss(p: Any, y: Any, trust: float) -> Any:
    log = namespace(p).log
    own = _as_labels(p > 0.5, y)
    parts = (log(probability_of_label(p, label)) for label in (y, own))
    of_label, of_own = parts
    return -(trust * of_label + (1 - trust) * of_own)


def _hard_slope(p: Any, y: Any, trust: float) -> Any:
    own = _as_labels(p > 0.5, y)
    return trust * log_loss_slope(p, y) + (1 - trust) * log_loss_slope(p, own)


def _target(y: Any, own: Any, trust: float) -> Any:
    """β y + (1 - β) of what the classifier says itself."""
    target = y * trust
    target += own * (1 - trust)
    return target


def _as_labels(yes: Any, like: Any) -> Any:
    """1 where ``yes``, else 0, of the type of ``like``."""
    labels = namespace(like).empty_like(like)
    labels[:] = yes
    return labels


def _channel_logistic_loss(z: Any, y: Any, channel: Channel) -> Any:
    """-log P(label as it is), by P = (if_true + if_not e^-z) / (1 + e^-z)."""
    if_true, if_not = _as_seen(channel, y)
    odds = _odds_against(z[:, 0])
    probability = if_not * odds
    probability += if_true
    odds += 1
    probability /= odds
    return -namespace(z).log(probability)


def _channel_gradient(z: Any, y: Any, channel: Channel) -> Any:
    """p - P(entity is there | label as it is): what the label does not tell, it does not teach."""
    if_true, if_not = (part[:, None] for part in _as_seen(channel, y))
    odds = _odds_against(z, out=z)
    together = if_not * odds
    together += if_true
    odds += 1
    namespace(z).reciprocal(odds, out=odds)
    odds -= if_true / together
    return odds


def _channel_loss(p: Any, y: Any, channel: Channel) -> Any:
    return -namespace(p).log(_probability_as_seen(p, _as_seen(channel, y)))


def _channel_slope(p: Any, y: Any, channel: Channel) -> Any:
    if_true, if_not = _as_seen(channel, y)
    return (if_not - if_true) / _probability_as_seen(p, (if_true, if_not))


def _probability_as_seen(p: Any, seen: tuple[Any, Any]) -> Any:
    if_true, if_not = seen
    return _floored(if_true * p + if_not * (1 - p))


def _as_seen(channel: Channel, y: Any) -> tuple[Any, Any]:
    """Probability of the label as it is, where the entity is and where not; each (B, E)."""
    where, labelled = namespace(y).where, y > 0
    return (
        where(labelled, channel.label_if_true, channel.none_if_true),
        where(labelled, channel.label_if_not, channel.none_if_not),
    )


def _odds_against(z: Any, out: Any = None) -> Any:
    """exp(-z)."""
    xp = namespace(z)
    out = xp.clip(z, -_LARGEST, _LARGEST, out=out)
    out *= -1
    return xp.exp(out, out=out)


def _floored(p: Any) -> Any:
    return namespace(p).clip(p, PROBABILITY_FLOOR, None)
