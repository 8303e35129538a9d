"""One step of a training: the loss of a batch over all ranks, its gradient, the weights' move.

Axes: B videos of the rank's batch, F frames, D features, E entities.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from yt8m_spark.deep.feed import Batch
from yt8m_spark.deep.frames import multi_hot
from yt8m_spark.deep.networks import Network
from yt8m_spark.deep.optimizers import (
    Tensors,
    WeightAverage,
    learning_rate_at,
    load_optimizer,
    make_optimizer,
    optimizer_tensors,
)
from yt8m_spark.deep.ranks import Ranks
from yt8m_spark.deep.training import Training

__all__ = ["Learner", "LearnerState"]


class LearnerState(NamedTuple):
    """All that a training has learned, as tensors by name."""

    weights: Tensors  # and the buffers, as the statistics of BatchNorm
    optimizer: Tensors
    average: Tensors  # none without a moving average


class Learner:
    """A network that learns, together with the same network of the other ranks.

    Parameters
    ----------
    network : Network
        On the device of the rank, in training mode, with its frozen weights frozen.
    training : Training
    ranks : Ranks
    state : LearnerState, optional
        To go on from.
    """

    def __init__(
        self,
        network: Network,
        training: Training,
        ranks: Ranks,
        state: LearnerState | None = None,
    ) -> None:
        self.network = network
        self._training = training
        self._ranks = ranks
        if state is not None:
            network.load_state_dict(state.weights)
        self._weights = [p for p in network.parameters() if p.requires_grad]
        self._optimizer = make_optimizer(network, training)
        self._average = WeightAverage(network, training.ema) if training.ema else None
        if state is not None:
            load_optimizer(self._optimizer, network, state.optimizer)
            if self._average is not None and state.average:
                self._average.load(state.average)
        if training.compile:
            network.compile()
        self._model = _spread(network, ranks)

    def step(self, batch: Batch, global_step: int) -> torch.Tensor:
        """Learn from ``batch``, the rank's part of step ``global_step`` (counted from 0).

        Returns
        -------
        () float32 on the device
            This rank's part of the step's loss: the sum of its videos' losses by the number of
            videos of all ranks. The parts of all ranks add up to the step's mean loss.
        """
        self._seed(global_step)
        loss = self._gradient(batch)
        if self._training.clip:
            nn.utils.clip_grad_norm_(self._weights, self._training.clip)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate_at(global_step, self._training)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self._average is not None:
            self._average.update(global_step)
        return loss

    def is_finite(self) -> bool:
        """Whether all that was learned are numbers; waits for the device.

        Not the weights alone: a loss that grows without bounds can reach the statistics of
        BatchNorm or the optimizer's sums of squares first, and the weights stay finite.
        """
        held = [value for tensors in self.state() for value in tensors.values()]
        good = [torch.isfinite(value.detach()).all() for value in held if value.is_floating_point()]
        # AdamW counts its steps on the CPU.
        return bool(torch.stack([each.to(self._ranks.device) for each in good]).all())

    def state(self) -> LearnerState:
        """All that was learned; the tensors themselves, no copies."""
        average = {} if self._average is None else self._average.tensors()
        return LearnerState(
            dict(self.network.state_dict()),
            optimizer_tensors(self._optimizer, self.network),
            average,
        )

    def for_use(self) -> Any:
        """Context in which the network has the weights to use: their average, if there is one."""
        return nullcontext() if self._average is None else self._average.applied()

    def _seed(self, global_step: int) -> None:
        """Random numbers are a function of the step: a resumed training draws the same ones."""
        seed = _step_seed(self._training.seed, global_step, self._ranks.rank)
        # Not torch.manual_seed, which takes as long as the rest of a small step: it remembers, with
        # a stack trace each time, to seed devices that are not there.
        torch.default_generator.manual_seed(seed)
        if self._ranks.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _gradient(self, batch: Batch) -> torch.Tensor:
        """Gradient of the step's loss in the weights' ``grad``; this rank's part of the loss."""
        total = torch.zeros((), device=self._ranks.device)
        parts = list(_cut(batch, self._training.micro_batch, self._ranks.size))
        codes, n_frames, labels = self._on_device(batch)
        for part in parts:
            # The ranks exchange gradients once a step, with the last part.
            alone = self._ranks.size > 1 and part is not parts[-1]
            with self._model.no_sync() if alone else nullcontext():
                with self._precision():
                    losses = self._model(codes[part], n_frames[part], labels[part])  # (part,)
                loss = losses.sum() / batch.n_videos_of_step
                # DDP takes the mean of the ranks' gradients, and what is wanted is the sum.
                (loss * self._ranks.size).backward()
            total += loss.detach()
        return total

    def _on_device(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Codes (B, F, D) uint8, frames (B,) and labels (B, E) on the device."""
        device = self._ranks.device
        codes, n_frames, rows, columns = (
            values.to(device, non_blocking=True)
            for values in (batch.codes, batch.n_frames, batch.label_rows, batch.label_columns)
        )
        n_entities = self._training.network.n_entities
        return codes, n_frames, multi_hot(rows, columns, len(batch.codes), n_entities)

    def _precision(self) -> torch.autocast:
        wanted, device = self._training.precision, self._ranks.device.type
        enabled = wanted == "bf16" or (wanted == "auto" and device == "cuda")
        return torch.autocast(device, torch.bfloat16, enabled=enabled)


def _spread(network: Network, ranks: Ranks) -> Any:
    if ranks.size == 1:
        return network
    with warnings.catch_warnings():
        # Newer versions of torch have another name for broadcast_buffers, which older ones lack.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(
            network,
            # BatchNorm takes its statistics over all ranks, so they need no sending around.
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            # Keeps DDP from laying the gradients out anew after its first step: a resumed training
            # has another first step, and the sums of three ranks would be rounded otherwise.
            find_unused_parameters=ranks.device.type == "cpu",
        )


def _cut(batch: Batch, micro_batch: int, n_ranks: int) -> Iterator[slice]:
    """Parts of the rank's videos, as many on each rank and none empty.

    BatchNorm and the gradients wait for all ranks in each part. The ranks' counts differ by at
    most 1; so a part may have one video more than ``micro_batch``.
    """
    n_videos = len(batch.codes)
    least, most = batch.n_videos_of_step // n_ranks, -(-batch.n_videos_of_step // n_ranks)
    n_parts = min(least, -(-most // micro_batch)) if micro_batch else 1
    borders = [n_videos * part // n_parts for part in range(n_parts + 1)]
    return (slice(*pair) for pair in pairwise(borders))


def _step_seed(seed: int, global_step: int, rank: int) -> int:
    words = np.random.SeedSequence([seed, global_step, rank]).generate_state(1, np.uint64)
    # torch takes what fits into 63 bits as it is.
    return int(words[0] >> np.uint64(1))
