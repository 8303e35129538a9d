"""Output layers: from activations to entities, a class for each loss (paper §4.1.2, §4.3.3).

Each has ``forward`` (activations -> logits), ``loss`` (logits, labels -> a number for each video or
frame) and ``probability`` (logits -> [0, 1]). Losses are the *sum* over entities: a mean would
make the gradient, and what a clipping norm means, depend on how many entities there are.

Axes: ... videos, or videos and frames; A activations, E entities, H experts.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from yt8m_spark.errors import InputError

__all__ = ["CLASSIFIERS", "Logistic", "Mixture", "Output", "Softmax", "build_output"]

CLASSIFIERS = ("logistic", "softmax", "moe")


class Logistic(nn.Module):
    """An independent logistic regression for each entity."""

    def __init__(self, n_activations: int, n_entities: int) -> None:
        super().__init__()
        self.linear = _linear(n_activations, n_entities)
        nn.init.constant_(self.linear.bias, _rare(n_entities))

    def forward(self, activations: Tensor) -> Tensor:
        """Logits (..., E) of ``activations`` (..., A)."""
        logits: Tensor = self.linear(activations)
        return logits.float()  # autocast may have made them short

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Log-loss, (...), summed over entities; ``labels`` (..., E) are 0 or 1."""
        return (nnf.softplus(logits) - labels * logits).sum(-1)

    def probability(self, logits: Tensor) -> Tensor:
        """p(e|x), (..., E)."""
        return torch.sigmoid(logits)


class Softmax(nn.Module):
    """One distribution over all entities, which share the probability of 1.

    Notes
    -----
    The paper does not say what a video with several labels should give: here each of them an equal
    share, as in its authors' code. A video without labels has nothing to say: its loss is 0.
    """

    def __init__(self, n_activations: int, n_entities: int) -> None:
        super().__init__()
        self.linear = _linear(n_activations, n_entities)

    def forward(self, activations: Tensor) -> Tensor:
        """Logits (..., E) of ``activations`` (..., A)."""
        logits: Tensor = self.linear(activations)
        return logits.float()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy, (...), with ``labels`` (..., E) of 0 and 1 scaled to a sum of 1."""
        shares = labels / labels.sum(-1, keepdim=True).clamp(min=1)
        return -(shares * torch.log_softmax(logits, -1)).sum(-1)

    def probability(self, logits: Tensor) -> Tensor:
        """p(e|x), (..., E), with a sum of 1."""
        return torch.softmax(logits, -1)


class Mixture(nn.Module):
    """A mixture of H experts for each entity (paper §4.3.3, Eq. 5).

    The dummy state is one more gate logit, fixed at 0, that never predicts the entity.
    """

    def __init__(self, n_activations: int, n_entities: int, n_experts: int) -> None:
        super().__init__()
        self.n_experts = n_experts
        self.linear = _linear(n_activations, 2 * n_experts * n_entities)
        nn.init.constant_(self.linear.bias[n_experts * n_entities :], _rare(n_entities))

    def forward(self, activations: Tensor) -> Tensor:
        """Logits (..., 2H, E) of ``activations`` (..., A): the gates', then the experts'."""
        logits: Tensor = self.linear(activations)
        return logits.float().reshape(*logits.shape[:-1], 2 * self.n_experts, -1)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Log-loss of Eq. 5, (...), summed over entities; ``labels`` (..., E) are 0 or 1.

        Computed from log p and log (1 - p), each a sum of exponentials of logarithms: where p
        rounds to 0 or 1, the gradient does not vanish as it would behind a floor.
        """
        gates, dummy = _log_gates(logits[..., : self.n_experts, :])
        experts = logits[..., self.n_experts :, :]
        present = torch.logsumexp(gates + nnf.logsigmoid(experts), -2)
        absent = torch.logsumexp(gates + nnf.logsigmoid(-experts), -2)
        return -torch.where(labels > 0, present, torch.logaddexp(absent, dummy)).sum(-1)

    def probability(self, logits: Tensor) -> Tensor:
        """p(e|x) of Eq. 5's mixture, (..., E)."""
        gates, _ = _log_gates(logits[..., : self.n_experts, :])
        p = (gates.exp() * torch.sigmoid(logits[..., self.n_experts :, :])).sum(-2)
        return p.clamp(0, 1)  # rounding may leave it above 1


Output = Logistic | Softmax | Mixture


def build_output(classifier: str, n_activations: int, n_entities: int, n_experts: int) -> Output:
    """Output layer of the kind ``classifier``; ``n_experts`` is read for "moe" alone.

    Raises
    ------
    InputError
        If there is no such kind.
    """
    if classifier == "logistic":
        return Logistic(n_activations, n_entities)
    if classifier == "softmax":
        return Softmax(n_activations, n_entities)
    if classifier == "moe":
        return Mixture(n_activations, n_entities, n_experts)
    raise InputError("no such classifier", expected=" or ".join(CLASSIFIERS), found=classifier)


def _linear(n_in: int, n_out: int) -> nn.Linear:
    linear = nn.Linear(n_in, n_out)
    nn.init.zeros_(linear.bias)
    return linear


def _rare(n_entities: int) -> float:
    """Bias that gives a video about one of the entities at first; ours, the paper has none."""
    return -math.log(n_entities)


def _log_gates(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithms of p(h|x), (..., H, E), and of the dummy's probability, (..., E)."""
    dummy = -nnf.softplus(torch.logsumexp(logits, -2))  # log 1 / (1 + sum of e^logit)
    return logits + dummy.unsqueeze(-2), dummy
