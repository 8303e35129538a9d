"""How fast does a block train beside PyTorch doing the same?

Contenders in turns on one thread: `core.training.BlockTrainer`, and `torch.nn.Linear` with
`torch.optim.Adagrad` (as it comes, foreach and fused) on the same mini-batches of 32. Before that,
their weights after 64 steps are compared: sum over entities of the mean log-loss of a mini-batch,
AdaGrad's sums from 1e-8, no l2, no averaging, first weights 0. PyTorch has one
more contender that its users rarely write: the gradient of the logits by hand instead of autograd.
Prints times, and how many times as fast ours is. CPU time, so that other programs count less.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from yt8m_spark.core.block_state import initial_state
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.training import BlockTrainer
from yt8m_spark.core.training_options import TrainingOptions

BATCH, N_FEATURES, N_ENTITIES, N_VIDEOS, LABELS_A_VIDEO = 32, 1024, 256, 8192, 3
OPTIONS = TrainingOptions(batch_size=BATCH, l2=0.0, average=0.0, n_epochs=1)
TIMES = 7


def main() -> None:
    """Check, measure and print."""
    torch.set_num_threads(1)
    x, y = make_problem()
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    contenders: dict[str, Callable[[], Any]] = {"yt8m_spark": partial(train_ours, x, y)}
    ways: dict[str, dict[str, bool]] = {"default": {}, "foreach": {"foreach": True}}
    ways["fused"] = {"fused": True}
    for name, way in ways.items():
        contenders[f"torch, {name}"] = partial(train_torch, *tensors, way)
        contenders[f"torch, {name}, by hand"] = partial(train_by_hand, *tensors, way)
    check_weights(x[: 64 * BATCH], y[: 64 * BATCH])
    seconds = best_of(contenders)
    ours = seconds["yt8m_spark"]
    print(f"{N_VIDEOS} videos, batches of {BATCH}, D = {N_FEATURES}, {N_ENTITIES} entities")
    for name, taken in seconds.items():
        print(f"{name:24} {1e6 * taken * BATCH / N_VIDEOS:7.0f} µs a step, {taken / ours:5.2f}x")


def make_problem() -> tuple[np.ndarray, np.ndarray]:
    """Features (V, D) of length 1 and labels (V, E), some 3 a video, that depend on them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N_VIDEOS, N_FEATURES)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    z = x @ rng.normal(size=(N_FEATURES, N_ENTITIES)).astype(np.float32)
    return x, (z > np.quantile(z, 1 - LABELS_A_VIDEO / N_ENTITIES)).astype(np.float32)


def train_ours(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """One pass; weights (E, D + 1), biases last."""
    family = loss_family("logistic")
    state = initial_state(family, np.arange(N_ENTITIES), N_FEATURES, OPTIONS)
    trainer = BlockTrainer(state, family, OPTIONS, len(x))
    trainer.feed(x, y)
    return np.asarray(state.final_weights()[0])


def train_torch(x: torch.Tensor, y: torch.Tensor, way: dict[str, bool]) -> np.ndarray:
    """One pass as PyTorch's tutorials write it."""
    linear, optimiser = make_torch(way)
    measure = torch.nn.BCEWithLogitsLoss(reduction="sum")
    for start in range(0, len(x), BATCH):
        optimiser.zero_grad()
        loss = measure(linear(x[start : start + BATCH]), y[start : start + BATCH]) / BATCH
        loss.backward()
        optimiser.step()
    return weights_of(linear)


@torch.no_grad()
def train_by_hand(x: torch.Tensor, y: torch.Tensor, way: dict[str, bool]) -> np.ndarray:
    """One pass with the gradient written out, and no loss."""
    linear, optimiser = make_torch(way)
    linear.weight.grad = torch.empty_like(linear.weight)
    linear.bias.grad = torch.empty_like(linear.bias)
    for start in range(0, len(x), BATCH):
        batch = x[start : start + BATCH]
        dz = linear(batch).sigmoid_().sub_(y[start : start + BATCH]).div_(BATCH)
        torch.mm(dz.T, batch, out=linear.weight.grad)
        torch.sum(dz, 0, out=linear.bias.grad)
        optimiser.step()
    return weights_of(linear)


def make_torch(way: dict[str, bool]) -> tuple[torch.nn.Linear, torch.optim.Adagrad]:
    """The same classifier and optimiser in PyTorch."""
    linear = torch.nn.Linear(N_FEATURES, N_ENTITIES)
    for parameter in linear.parameters():
        torch.nn.init.zeros_(parameter)
    start = OPTIONS.initial_accumulator
    optimiser = torch.optim.Adagrad(
        linear.parameters(), lr=OPTIONS.learning_rate, eps=0, initial_accumulator_value=start, **way
    )
    return linear, optimiser


def weights_of(linear: torch.nn.Linear) -> np.ndarray:
    """Weights (E, D + 1), biases last."""
    return torch.cat([linear.weight, linear.bias[:, None]], 1).detach().numpy()


def check_weights(x: np.ndarray, y: np.ndarray) -> None:
    """Both must train the same."""
    ours = train_ours(x, y)
    for train in (train_torch, train_by_hand):
        theirs = train(torch.from_numpy(x), torch.from_numpy(y), {})
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)
        print(
            f"{train.__name__}: weights up to {abs(ours).max():.1f} differ by up to "
            f"{abs(theirs - ours).max():.1e} after {len(x) // BATCH} steps"
        )


def best_of(contenders: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Seconds of the fastest of a few rounds; a round runs each once, so all see the same load."""
    seconds = dict.fromkeys(contenders, np.inf)
    for _ in range(TIMES):
        for name, work in contenders.items():
            start = time.process_time()
            work()
            seconds[name] = min(seconds[name], time.process_time() - start)
    return seconds


if __name__ == "__main__":
    main()
