"""google/youtube-8m's video-level models in PyTorch, and the project's metrics without Spark.

After ``video_level_models.py``, ``losses.py`` and ``train.py`` of google/youtube-8m at their
defaults. Axes: V videos, B videos of a mini-batch, D features, E entities, H experts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from yt8m_spark.core.scored import ScoredBatch, label_set
from yt8m_spark.formats.examples import decode_video
from yt8m_spark.formats.tfrecord import read_records
from yt8m_spark.spark.evaluation_local import evaluate_batches

__all__ = ["LogisticModel", "MoeModel", "Videos", "metrics_of", "read_videos", "scores_of", "train"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

L2 = 1e-8  # --l2_penalty and --moe_l2; of ½|w|²
LEARNING_RATE = 0.01  # --base_learning_rate
DECAY, DECAY_EXAMPLES = 0.95, 4_000_000  # --learning_rate_decay and _decay_examples, in steps
CLIP_NORM = 1.0  # --clip_gradient_norm, of each variable's gradient
EPSILON = 1e-5  # of CrossEntropyLoss


class Videos(NamedTuple):
    """Videos in memory, their labels as sets."""

    features: Floats  # (V, D), of length 1
    label_offsets: Ints  # (V + 1,)
    label_values: Ints  # (L,)


class LogisticModel(torch.nn.Module):
    """A sigmoid of one linear layer."""

    def __init__(self, n_features: int, n_entities: int) -> None:
        super().__init__()
        self.linear = _linear(n_features, n_entities, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Probabilities (B, E) for features ``x`` (B, D)."""
        return torch.sigmoid(self.linear(x))

    def penalized(self) -> list[torch.Tensor]:
        """Weights that l2 pulls: no biases."""
        return [self.linear.weight]


class MoeModel(torch.nn.Module):
    """A mixture of H sigmoids and a dummy that says no, gated by a softmax."""

    def __init__(self, n_features: int, n_entities: int, n_experts: int = 2) -> None:
        super().__init__()
        self.n_experts = n_experts
        # Its gates have no biases (biases_initializer=None); its experts have.
        self.gates = _linear(n_features, n_entities * (n_experts + 1), bias=False)
        self.experts = _linear(n_features, n_entities * n_experts, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Probabilities (B, E) for features ``x`` (B, D)."""
        h = self.n_experts
        gates = torch.softmax(self.gates(x).unflatten(1, (-1, h + 1)), dim=2)
        experts = torch.sigmoid(self.experts(x).unflatten(1, (-1, h)))
        return (gates[:, :, :h] * experts).sum(dim=2)

    def penalized(self) -> list[torch.Tensor]:
        """Weights that l2 pulls: no biases."""
        return [self.gates.weight, self.experts.weight]


def read_videos(paths: Iterable[str]) -> Videos:
    """Videos of video-level shards: mean_rgb and mean_audio side by side, L2-normalised."""
    features, counts, values = [], [0], []
    for path in paths:
        for record in read_records(path):
            video = decode_video(record.data)
            row = np.concatenate([video.features["mean_rgb"], video.features["mean_audio"]])
            features.append(row / np.linalg.norm(row))
            counts.append(len(video.labels))
            values.append(video.labels)
    offsets, labels = label_set(np.cumsum(counts), np.concatenate(values))
    return Videos(np.array(features, np.float32), offsets, labels)


def train(
    model: LogisticModel | MoeModel,
    videos: Videos,
    *,
    n_entities: int,
    batch_size: int,
    passes: Iterable[int],
    seed: int = 0,
) -> Iterator[int]:
    """Train ``model`` by Adam; gives back how many passes are done at each of ``passes``."""
    # Unlike PyTorch's, TensorFlow's Adam adds its 1e-8 before correcting the second moment.
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    rng = np.random.default_rng(seed)
    wanted = sorted(passes)
    step = 0
    for done in range(1, wanted[-1] + 1):
        order = rng.permutation(len(videos.features))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            optimizer.param_groups[0]["lr"] = learning_rate(step * batch_size)
            _step(model, optimizer, videos, rows, n_entities)
            step += 1
        if done in wanted:
            yield done


def learning_rate(n_examples: int) -> float:
    """Rate after ``n_examples``: it falls in steps, the first after 4 million of them."""
    return float(LEARNING_RATE * DECAY ** (n_examples // DECAY_EXAMPLES))


def scores_of(model: LogisticModel | MoeModel, features: Floats) -> Floats:
    """Probabilities (V, E)."""
    with torch.no_grad():
        parts = [model(part) for part in torch.split(torch.from_numpy(features), 512)]
    return np.asarray(torch.cat(parts).numpy())


def metrics_of(scores: Floats, videos: Videos) -> dict[str, float]:
    """What the job evaluate gives, of scores (V, E) in memory."""
    ids = [f"{number:09d}" for number in range(len(scores))]
    entities = np.arange(scores.shape[1], dtype=np.int64)
    batch = ScoredBatch(ids, videos.label_offsets, videos.label_values, entities, scores)
    return evaluate_batches([batch]).metrics


def _step(
    model: LogisticModel | MoeModel,
    optimizer: torch.optim.Optimizer,
    videos: Videos,
    rows: Ints,
    n_entities: int,
) -> None:
    y = torch.zeros(len(rows), n_entities)
    for i, row in enumerate(rows):
        y[i, videos.label_values[videos.label_offsets[row] : videos.label_offsets[row + 1]]] = 1
    p = model(torch.from_numpy(videos.features[rows]))
    log_likelihood = y * torch.log(p + EPSILON) + (1 - y) * torch.log(1 - p + EPSILON)
    loss = -log_likelihood.sum(dim=1).mean()
    loss = loss + L2 / 2 * sum(w.square().sum() for w in model.penalized())
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    for variable in model.parameters():
        torch.nn.utils.clip_grad_norm_(variable, CLIP_NORM)  # each by itself, as they do
    optimizer.step()


def _linear(n_features: int, n_outputs: int, *, bias: bool) -> torch.nn.Linear:
    """Linear layer as slim.fully_connected makes it: Xavier's uniform weights, biases of 0."""
    layer = torch.nn.Linear(n_features, n_outputs, bias=bias)
    torch.nn.init.xavier_uniform_(layer.weight)
    if bias:
        torch.nn.init.zeros_(layer.bias)
    return layer
