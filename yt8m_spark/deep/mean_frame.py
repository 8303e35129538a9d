"""The mean of a video's frames and an output layer: what the networks have to beat.

Axes: B videos of a batch, F frames of the longest, D features, E entities.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from yt8m_spark.deep.frames import frame_vectors, real_frames, split_frames
from yt8m_spark.deep.outputs import Output

__all__ = ["MeanFrame"]

FRAMES_AT_ONCE = 64  # that are floats at a time


class MeanFrame(nn.Module):
    """Output layer on the mean of the frames' vectors, (B, D).

    ``output`` is of width ``n_features``, D of all feature lists; with ``normalize`` each frame's
    vector has length 1 before the mean is taken.
    """

    def __init__(self, n_features: int, output: Output, *, normalize: bool) -> None:
        super().__init__()
        self.normalize = normalize
        self.n_activations = n_features
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
        """The mean frame, (B, D) float32; 0 for a video without frames."""
        total = torch.zeros(len(codes), codes.shape[2], device=codes.device)
        for first, part in enumerate(split_frames(codes, FRAMES_AT_ONCE)):
            frames = frame_vectors(part, normalize=self.normalize)
            real = real_frames(n_frames, part.shape[1], first * FRAMES_AT_ONCE)
            total = total + (frames * real[..., None]).sum(1)
        return total / n_frames.clamp(min=1)[:, None]
