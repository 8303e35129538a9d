"""How a network's weights move: AdaGrad or AdamW, warm-up, clipping, and their moving average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from yt8m_spark.deep.training import Training
from yt8m_spark.errors import InputError

__all__ = [
    "Tensors",
    "WeightAverage",
    "learning_rate_at",
    "load_optimizer",
    "make_optimizer",
    "optimizer_tensors",
]

Tensors = dict[str, torch.Tensor]


def make_optimizer(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    """Optimizer of the trainable weights of ``network``.

    Paper: §4.1.2: AdaGrad with learning rate 0.1 and weight decay 5e-4.

        gradient    += weight_decay · weights          (AdaGrad; matrices only)
        accumulator += gradient²
        weights     -= learning_rate · gradient / sqrt(accumulator)

    Notes
    -----
    The paper does not say what decays; here the weight matrices do, biases and the scales of
    BatchNorm do not. AdamW shrinks the weights themselves (decoupled). AdaGrad's accumulator
    starts at TensorFlow's 0.1, not at the 1e-8 of the per-entity models: from there the first
    step would move every weight by the whole learning rate, three times as far as the weights of
    a layer of 1024 are from 0.
    """
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    decayed = {"params": [p for _, p in named if p.ndim > 1], "weight_decay": training.weight_decay}
    others = {"params": [p for _, p in named if p.ndim <= 1], "weight_decay": 0.0}
    groups = [group for group in (decayed, others) if group["params"]]
    # One pass over the weights on the CPU; on a GPU torch's default launches few kernels already.
    fused = True if all(p.device.type == "cpu" for _, p in named) else None
    if training.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=training.learning_rate, fused=fused)
    return torch.optim.Adagrad(
        groups,
        lr=training.learning_rate,
        initial_accumulator_value=training.accumulator_start,
        eps=0.0,  # the accumulator starts above 0
        fused=fused,
    )


def learning_rate_at(global_step: int, training: Training) -> float:
    """Learning rate of a step, counted from 0: it grows linearly over ``warmup_steps``."""
    grown = min(1.0, (global_step + 1) / max(training.warmup_steps, 1))
    return training.learning_rate * grown


def optimizer_tensors(optimizer: torch.optim.Optimizer, network: nn.Module) -> Tensors:
    """State of ``optimizer`` as tensors called ``<weight>/<quantity>``."""
    names = {id(p): name for name, p in network.named_parameters()}
    return {
        f"{names[id(p)]}/{key}": value
        for p, state in optimizer.state.items()
        for key, value in state.items()
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer, network: nn.Module, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Give ``optimizer`` the state that `optimizer_tensors` took of another one.

    Raises
    ------
    InputError
        If it is the state of other weights; they would go on with the speed of a new training.
    """
    names = {id(p): name for name, p in network.named_parameters()}
    ordered = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
    found = {name.rpartition("/")[0] for name in tensors}
    if found != set(ordered):
        odd = min(found ^ set(ordered))
        raise InputError("the optimizer's state is of other weights", where=odd)
    described = optimizer.state_dict()
    described["state"] = {
        place: {
            key.rpartition("/")[2]: value
            for key, value in tensors.items()
            if key.rpartition("/")[0] == name
        }
        for place, name in enumerate(ordered)
    }
    optimizer.load_state_dict(described)


class WeightAverage:
    """Exponential moving average of a network's weights.

        average += (1 - d) · (weights - average),   d = min(decay, (1 + t) / (10 + t))

    at step t, so that the first steps are forgotten soon. The running moments of BatchNorm are
    averaged likewise: those of the newest weights would not fit the averaged ones.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        learned = {name: p for name, p in network.named_parameters() if p.requires_grad}
        held = learned | dict(network.named_buffers())
        self._weights, self._names = list(held.values()), list(held)
        self._averages = [p.detach().clone() for p in self._weights]

    def update(self, global_step: int) -> None:
        """Take in the weights after step ``global_step``, counted from 0."""
        decay = min(self._decay, (1 + global_step) / (10 + global_step))
        weights = [p.detach() for p in self._weights]
        torch._foreach_lerp_(self._averages, weights, 1 - decay)  # one launch for many weights

    def tensors(self) -> Tensors:
        """The averages, by the names of the weights."""
        return dict(zip(self._names, self._averages, strict=True))

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from the averages that `tensors` gave.

        Raises
        ------
        InputError
            If they are of other weights.
        """
        if set(tensors) != set(self._names):
            odd = min(set(tensors) ^ set(self._names))
            raise InputError("the averages are of other weights", where=odd)
        for name, average in zip(self._names, self._averages, strict=True):
            average.copy_(tensors[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the network have the averages for its weights while the body runs."""
        kept = [p.detach().clone() for p in self._weights]
        self._set(self._averages)
        try:
            yield
        finally:
            self._set(kept)

    @torch.no_grad()
    def _set(self, values: list[torch.Tensor]) -> None:
        for weight, value in zip(self._weights, values, strict=True):
            weight.copy_(value)
