"""Frames and labels as a network sees them, made on its own device.

Frames stay uint8, a quarter of the bytes, until they are where the network computes.

Axes: B videos of a batch, F frames of the longest, D features of a frame, E entities.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from yt8m_spark.core.quantization import MIN_VALUE, STEP

__all__ = ["all_real", "frame_vectors", "multi_hot", "real_frames", "split_frames"]


def frame_vectors(codes: Tensor, *, normalize: bool) -> Tensor:
    """Vectors (..., D) float32 of ``codes`` (..., D) uint8.

    They are those of `core.frame_sampling.FrameLists.vectors`: dequantized with the release's
    levels and, with ``normalize``, scaled to length 1.
    """
    vectors = codes.to(torch.float32).mul_(STEP).add_(MIN_VALUE)
    return nnf.normalize(vectors, dim=-1) if normalize else vectors


def real_frames(n_frames: Tensor, width: int, first: int = 0) -> Tensor:
    """Which of the frames ``first`` ... ``first + width - 1`` a video has, (B, width) bool."""
    places = torch.arange(first, first + width, device=n_frames.device)
    return places < n_frames[:, None]


def all_real(real: Tensor) -> bool:
    """Whether it is known that nothing is padding.

    Asked only where asking is free: on a GPU it would wait for the device, in a compiled network
    it would break the graph.
    """
    can_ask = real.device.type == "cpu" and not torch.compiler.is_compiling()
    return can_ask and bool(real.all())


def split_frames(codes: Tensor, width: int) -> tuple[Tensor, ...]:
    """``codes`` (B, F, D) in parts of ``width`` frames, the last one of fewer.

    Where F is 0 there is one part, of a frame that no video has: layers want to see something.
    """
    if not codes.shape[1]:
        return (codes.new_zeros(len(codes), 1, codes.shape[2]),)
    parts: tuple[Tensor, ...] = torch.split(codes, max(width, 1), 1)
    return parts


def multi_hot(rows: Tensor, columns: Tensor, n_videos: int, n_entities: int) -> Tensor:
    """Labels (B, E) float32: 1 at each (row, column), else 0.

    ``rows`` and ``columns`` are int64, on the device where the labels shall be.
    """
    labels = torch.zeros(n_videos, n_entities, device=rows.device)
    labels[rows, columns] = 1.0
    return labels
