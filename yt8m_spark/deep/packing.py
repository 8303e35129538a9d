"""A window of videos as four tensors, from which batches are cut without a copy.

A reader process puts the videos of a window in their random order and lays them out batch by batch:
what the training process has to do for a batch is to take views.

Axes: B videos of a part, F frames, D features of all lists, V videos and L labels of a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Packed", "Part", "cut_parts", "join_parts", "pack_window"]

Ints = NDArray[np.int64]
Codes = NDArray[np.uint8]


class Part(NamedTuple):
    """A batch, or as much of it as one window has."""

    codes: torch.Tensor  # (B, F, D) uint8; F is that of the longest video, at least 1; 0 after each
    n_frames: torch.Tensor  # (B,) int64
    label_rows: torch.Tensor  # (L,) int64, which of the B videos
    label_columns: torch.Tensor  # (L,) int64, places of entities


class Packed(NamedTuple):
    """The parts of a window, one after the other."""

    codes: torch.Tensor  # uint8, flat
    n_frames: torch.Tensor  # (V,) int64
    labels: torch.Tensor  # (2, L) int64: rows, within their part, and columns
    shapes: torch.Tensor  # (parts, 3) int64: videos, frames and labels of each part


def pack_window(
    frames: Sequence[Sequence[Codes]],
    labels: tuple[Ints, Ints],
    order: Ints,
    cuts: Sequence[int],
) -> Packed:
    """Lay out the videos of a window.

    Parameters
    ----------
    frames : sequence of V sequences of (F, D_i) uint8
        Of each video the frames chosen, list by list.
    labels : (V + 1,) int64, (L,) int64
        Offsets of each video's labels, and the labels as places of entities.
    order : (V,) int64
        The order that the videos shall have.
    cuts : sequence of int
        Where parts start and where the last ends, 0 to V, ascending.
    """
    widths = [codes.shape[1] for codes in frames[0]]
    edges = np.concatenate([[0], np.cumsum(widths)]).tolist()
    n_frames = np.array([len(frames[video][0]) for video in order], np.int64)
    heights = np.maximum(np.maximum.reduceat(n_frames, cuts[:-1]), 1)
    sizes = np.diff(cuts) * heights * edges[-1]
    flat = np.zeros(int(sizes.sum()), np.uint8)
    starts = np.cumsum(sizes) - sizes
    for start, size, height, lo, hi in zip(
        starts.tolist(), sizes.tolist(), heights.tolist(), cuts, cuts[1:], strict=False
    ):
        block = flat[start : start + size].reshape(hi - lo, height, edges[-1])
        for row, video in enumerate(order[lo:hi].tolist()):
            for codes, left, right in zip(frames[video], edges, edges[1:], strict=False):
                block[row, : len(codes), left:right] = codes
    rows, columns, n_labels = _ordered_labels(labels, order, cuts)
    shapes = np.column_stack([np.diff(cuts), heights, n_labels])
    return Packed(*map(torch.from_numpy, (flat, n_frames, np.stack([rows, columns]), shapes)))


def cut_parts(packed: Packed, width: int) -> Iterator[Part]:
    """Parts of a window, views of it; ``width`` is D."""
    at = video = label = 0
    for n_videos, height, n_labels in packed.shapes.tolist():
        size = n_videos * height * width
        rows, columns = packed.labels[:, label : label + n_labels]
        yield Part(
            packed.codes[at : at + size].view(n_videos, height, width),
            packed.n_frames[video : video + n_videos],
            rows,
            columns,
        )
        at, video, label = at + size, video + n_videos, label + n_labels


def join_parts(parts: Sequence[Part], *, pin_memory: bool = False) -> Part:
    """One batch of its parts, in order; in page-locked memory if they are and it shall be."""
    if len(parts) == 1:
        return parts[0]
    firsts = np.cumsum([0, *(len(part.n_frames) for part in parts)]).tolist()
    height = max(part.codes.shape[1] for part in parts)
    codes = _empty((firsts[-1], height, parts[0].codes.shape[2]), pin_memory)
    for part, first, last in zip(parts, firsts, firsts[1:], strict=False):
        codes[first:last, : part.codes.shape[1]] = part.codes
        codes[first:last, part.codes.shape[1] :] = 0
    n_frames = torch.cat([part.n_frames for part in parts])
    rows = [part.label_rows + first for part, first in zip(parts, firsts, strict=False)]
    columns = torch.cat([part.label_columns for part in parts])
    return Part(codes, n_frames, torch.cat(rows), columns)


def _empty(shape: tuple[int, int, int], pin_memory: bool) -> torch.Tensor:
    """Memory for codes."""
    if pin_memory:
        return torch.empty(shape, dtype=torch.uint8, pin_memory=True)
    # NumPy asks the system for large pages, a fifth of the time that PyTorch's take at first use.
    return torch.from_numpy(np.empty(shape, np.uint8))


def _ordered_labels(
    labels: tuple[Ints, Ints], order: Ints, cuts: Sequence[int]
) -> tuple[Ints, Ints, Ints]:
    """Rows and columns (L,) of the labels of the videos in ``order``, and their number by part."""
    offsets, values = labels
    counts = np.diff(offsets)[order]
    ends = np.cumsum(counts)
    places = np.arange(len(values)) + np.repeat(offsets[order] - (ends - counts), counts)
    in_part = np.arange(len(order)) - np.repeat(cuts[:-1], np.diff(cuts))
    return np.repeat(in_part, counts), values[places], np.add.reduceat(counts, cuts[:-1])
