"""Batch normalization whose batch is that of all ranks, on any backend (paper §4.1.2).

torch's SyncBatchNorm needs a GPU, and counts every row. Here two ranks give the gradients of one
process on the joined batch, with gloo as with NCCL, and rows of videos without frames do not count.

Axes: N rows (frames of the videos of a batch), M channels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as nnf
from torch import Tensor, nn

from yt8m_spark.deep.frames import all_real

__all__ = ["BatchNorm"]

EPSILON = 1e-5  # torch's, as is the momentum
MOMENTUM = 0.1  # share of the newest batch in the running moments, once there were ten


class BatchNorm(nn.Module):
    """Scale each channel to mean 0 and variance 1 over the batch, then by weights of its own.

    While training the moments are the batch's, over all ranks, so every rank must call it equally
    often. In evaluation, and once its weights are frozen (``requires_grad`` is False), they are the
    running ones, which then stay as they are.
    """

    running_mean: Tensor
    running_variance: Tensor
    n_batches: Tensor  # () float32

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))
        self.register_buffer("running_mean", torch.zeros(n_channels))
        self.register_buffer("running_variance", torch.ones(n_channels))
        self.register_buffer("n_batches", torch.zeros(()))

    def forward(self, rows: Tensor, counts: Tensor) -> Tensor:
        """``rows`` (N, M) scaled; only those where ``counts`` (N,) is True shape the moments."""
        learns = self.training and self.weight.requires_grad
        if learns and not (_n_ranks() == 1 and len(rows) > 1 and all_real(counts)):
            # Autocast would take the sums in short numbers, of which moments need the long.
            with torch.autocast(rows.device.type, enabled=False):
                return self._scale_by_counted(rows, counts)
        mean, variance = self.running_mean, self.running_variance
        share = self._next_share() if learns else MOMENTUM
        return nnf.batch_norm(rows, mean, variance, self.weight, self.bias, learns, share, EPSILON)

    @torch.no_grad()
    def _next_share(self) -> float:
        """Share of the next batch in the running moments: at first their plain mean.

        They start at nothing that a layer ever gives, which would take a hundred batches to forget.
        """
        self.n_batches += 1
        return max(MOMENTUM, 1 / self.n_batches.item())

    def _scale_by_counted(self, rows: Tensor, counts: Tensor) -> Tensor:
        """As `nnf.batch_norm`, over the rows that count on all ranks."""
        rows = rows.float()
        share = counts.to(rows.dtype)[None]  # (1, N)
        totals = torch.cat([(share @ rows)[0], share.sum()[None]])  # (M + 1,)
        totals = _sum_over_ranks(totals)
        n = totals[-1].detach()
        mean = totals[:-1] / n.clamp(min=1)
        centred = rows - mean  # before squaring, or nothing is left of a small variance
        squares = _sum_over_ranks((share @ centred.square())[0])  # (M,)
        variance = squares / n.clamp(min=1)
        self._follow(mean.detach(), squares.detach() / (n - 1).clamp(min=1), n)
        scaled: Tensor = centred * ((variance + EPSILON).rsqrt() * self.weight) + self.bias
        return scaled

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, n: Tensor) -> None:
        """Move the running moments towards those of a batch of ``n`` rows; one row has none."""
        self.n_batches += n > 1
        share = (n > 1) * (1 / self.n_batches.clamp(min=1)).clamp(min=MOMENTUM)
        self.running_mean.lerp_(mean, share)
        self.running_variance.lerp_(variance, share)


class _SumOverRanks(torch.autograd.Function):
    """Sum of a tensor over ranks, and of its gradient: each rank's loss depends on all of them."""

    @staticmethod
    def forward(_ctx: Any, local: Tensor) -> Tensor:
        return _summed(local)

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _n_ranks() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _sum_over_ranks(local: Tensor) -> Tensor:
    total: Tensor = _SumOverRanks.apply(local)  # type: ignore[no-untyped-call]
    return total


def _summed(local: Tensor) -> Tensor:
    total = local.detach().clone()
    if _n_ranks() > 1:
        dist.all_reduce(total)
    return total
