"""Deep bag of frames (paper §4.1.2): code each frame sparsely, pool the codes, classify the pool.

Axes: B videos of a batch, F frames of the longest, D features, M units, A activations, E entities.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from yt8m_spark.deep.batch_norm import BatchNorm
from yt8m_spark.deep.frames import all_real, frame_vectors, real_frames, split_frames
from yt8m_spark.deep.outputs import Output

__all__ = ["POOLINGS", "DBoF"]

POOLINGS = ("max", "average")

# Codes of frames that scoring holds at once: 64 MiB of float32.
CODES_AT_ONCE = 1 << 24


class DBoF(nn.Module):
    """Shared layer of M units, batch normalization, ReLU, pooling, hidden layer, output layer.

    Paper: §4.1.2, Figure 3. It samples k frames of a video for training; which those are, is the
    feed's business. A score uses all frames, so it is repeatable.

    Parameters
    ----------
    n_features : int
        D, of all feature lists.
    output : Output
        Layer from the hidden one to the entities; its width is that of the hidden layer.
    n_units, n_hidden : int
        M = 8192 and A = 1024 in the paper.
    pooling : str
        "max", the paper's, or "average".
    normalize : bool
        Scale the vector of each frame to length 1; ours.

    Notes
    -----
    The paper normalizes before pooling; here, as in its authors' later code, the hidden layer is
    normalized too. Its inputs are thousands of codes, all positive: at a learning rate of 0.1 the
    first steps move its sums so far that its units die, and the network learns nothing. Its
    activation is not given; it is a ReLU, as below. The layers that are normalized have no bias,
    which normalization would take away. Each part of a batch that is passed alone (gradient
    accumulation) is normalized alone.
    """

    def __init__(
        self,
        n_features: int,
        output: Output,
        *,
        n_units: int,
        n_hidden: int,
        pooling: str,
        normalize: bool,
    ) -> None:
        super().__init__()
        self.normalize, self.pooling = normalize, pooling
        self.n_activations = n_hidden
        self.shared = nn.Linear(n_features, n_units, bias=False)
        self.norm = BatchNorm(n_units)
        self.hidden = nn.Linear(n_units, n_hidden, bias=False)
        self.hidden_norm = BatchNorm(n_hidden)
        self.output = output

    def forward(self, codes: Tensor, n_frames: Tensor, labels: Tensor) -> Tensor:
        """Loss of each video, (B,) float32, summed over entities; 0 for one without frames.

        Parameters
        ----------
        codes : (B, F, D) uint8
            Frames; what stands behind the first ``n_frames`` of a video is not looked at.
        n_frames : (B,) int64
            0..F.
        labels : (B, E) float32
            0 or 1.
        """
        loss = self.output.loss(self.output(self.activations(codes, n_frames)), labels)
        return torch.where(n_frames > 0, loss, 0)

    def probabilities(self, codes: Tensor, n_frames: Tensor) -> Tensor:
        """p(e|video), (B, E); 0 for a video without frames."""
        p = self.output.probability(self.output(self.activations(codes, n_frames)))
        return torch.where((n_frames > 0)[:, None], p, 0)

    def activations(self, codes: Tensor, n_frames: Tensor) -> Tensor:
        """The hidden layer, (B, A): a video's features for another task."""
        hidden = self.hidden(self._pooled(codes, n_frames))
        return torch.relu(self.hidden_norm(hidden, n_frames > 0))

    def _pooled(self, codes: Tensor, n_frames: Tensor) -> Tensor:
        """Pool of the frames' codes, (B, M) >= 0; while training of all frames in one product."""
        width = codes.shape[1]
        if not self.training:
            width = max(CODES_AT_ONCE // (self.shared.out_features * len(codes) or 1), 1)
        pool = torch.zeros(len(codes), self.shared.out_features, device=codes.device)
        for first, part in enumerate(split_frames(codes, width)):
            part_pool = self._pool(part, real_frames(n_frames, part.shape[1], first * width))
            pool = torch.maximum(pool, part_pool) if self.pooling == "max" else pool + part_pool
        return pool if self.pooling == "max" else pool / n_frames.clamp(min=1)[:, None]

    def _pool(self, codes: Tensor, real: Tensor) -> Tensor:
        """Largest code, or sum of the codes, of the real frames, (B, M)."""
        frames = frame_vectors(codes, normalize=self.normalize)  # (B, F, D)
        units = self.shared(frames.flatten(0, 1))  # (B F, M), one product
        units = self.norm(units, real.flatten()).unflatten(0, real.shape)  # (B, F, M)
        if self.pooling == "average":
            return (torch.relu(units) * real[..., None]).sum(1)
        if not all_real(real):
            units = units.masked_fill(~real[..., None], -torch.inf)
        # The ReLU of the largest is the largest ReLU. Not amax, whose gradient goes over all twice.
        return torch.relu(units.max(1).values)
