"""Long short-term memory over the frames of a video (paper §4.1.3).

Axes: B videos of a batch, F frames of the longest, T frames of a chunk, D features, C cells,
L layers, E entities.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from yt8m_spark.deep.frames import frame_vectors, real_frames, split_frames
from yt8m_spark.deep.outputs import Output

__all__ = ["LSTM"]

State = tuple[Tensor, Tensor]  # outputs and cells, each (L, B, C)


class LSTM(nn.Module):
    """Layers of LSTM cells and, on the outputs of the last layer at each frame, an output layer.

    Paper: §4.1.3. Two layers of 1024 cells, unrolled for 60 steps; frame t of the N of a video has
    t / N of the weight in the loss: 1/N for the first, 1 for the last.

    Parameters
    ----------
    n_features : int
        D, of all feature lists.
    output : Output
        Layer from the last layer's cells to the entities.
    n_layers, n_cells : int
        L = 2 and C = 1024 in the paper.
    horizon : int
        Frames that a gradient reaches back at most; 60 in the paper. The state goes on.
    normalize : bool
        Scale the vector of each frame to length 1; ours.

    Notes
    -----
    Ours, as the paper does not say: the weights of the frames are divided by their sum, so a long
    video counts as a short one; a video's score is the mean of its frames' probabilities under the
    same weights, as its authors did for video classification before (Ng et al., 2015). The bias of
    the forget gates starts at 1, the others at 0; the weights of the frames start so large that the
    sums of the first layer have a variance of about 1, as the frames' vectors are short: with
    torch's, the first layer would hardly see them at first, and the training is many times as long.
    """

    def __init__(
        self,
        n_features: int,
        output: Output,
        *,
        n_layers: int,
        n_cells: int,
        horizon: int,
        normalize: bool,
    ) -> None:
        super().__init__()
        self.normalize, self.horizon = normalize, horizon
        self.n_activations = n_layers * n_cells
        self.cells = nn.LSTM(n_features, n_cells, n_layers, batch_first=True)
        _start_remembering(self.cells)
        nn.init.normal_(
            self.cells.get_parameter("weight_ih_l0"), std=1 if normalize else n_features**-0.5
        )
        self.output = output

    def forward(self, codes: Tensor, n_frames: Tensor, labels: Tensor) -> Tensor:
        """Loss of each video, (B,) float32, summed over entities; 0 for one without frames.

        Parameters
        ----------
        codes : (B, F, D) uint8
            Frames in order; what stands behind the first ``n_frames`` of a video is not looked at.
        n_frames : (B,) int64
            0..F.
        labels : (B, E) float32
            0 or 1.
        """
        loss = torch.zeros(len(codes), device=codes.device)
        for logits, weights in self._chunks(codes, n_frames):
            loss = loss + (weights * self.output.loss(logits, labels[:, None])).sum(1)
        return loss

    def probabilities(self, codes: Tensor, n_frames: Tensor) -> Tensor:
        """p(e|video), (B, E); 0 for a video without frames."""
        p = torch.zeros(len(codes), 1, 1, device=codes.device)
        for logits, weights in self._chunks(codes, n_frames):
            p = p + weights[:, None] @ self.output.probability(logits)  # (B, 1, E)
        return p[:, 0].clamp(0, 1)  # rounding may leave it above 1

    def activations(self, codes: Tensor, n_frames: Tensor) -> Tensor:
        """Outputs of all layers at the last frame, (B, L C); 0 for a video without frames.

        Paper: §5.4, which takes them for features of another data set's videos.
        """
        outputs, cells = self._start(codes)
        for first, part in enumerate(split_frames(codes, self.horizon)):
            left = (n_frames - first * self.horizon).clamp(max=part.shape[1])
            on = left > 0
            if not on.any():
                break
            frames = frame_vectors(part[on], normalize=self.normalize)
            # Packed, so that each video's state is that at its own last frame.
            packed = pack_padded_sequence(frames, left[on].cpu(), True, enforce_sorted=False)
            _, state = self.cells(packed, (outputs[:, on], cells[:, on]))
            outputs[:, on], cells[:, on] = (last.to(outputs.dtype) for last in state)
        return outputs.transpose(0, 1).flatten(1)

    def _chunks(self, codes: Tensor, n_frames: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits (B, T, ..., E) and weights (B, T) of `horizon` frames after another.

        Chunk by chunk, since logits of all frames of long videos would not fit when scoring.
        Training keeps those of all chunks until its backward pass: 4 B F E bytes, several times.
        """
        state = self._start(codes)
        for first, part in enumerate(split_frames(codes, self.horizon)):
            frames = frame_vectors(part, normalize=self.normalize)  # (B, T, D)
            hidden, state = self.cells(frames, state)  # (B, T, C)
            state = state[0].detach(), state[1].detach()  # no gradient beyond the horizon
            weights = _weights(n_frames, part.shape[1], first * self.horizon)
            yield self.output(hidden), weights

    def _start(self, codes: Tensor) -> State:
        shape = self.cells.num_layers, len(codes), self.cells.hidden_size
        return torch.zeros(shape, device=codes.device), torch.zeros(shape, device=codes.device)


def _weights(n_frames: Tensor, width: int, first: int) -> Tensor:
    """Weights (B, T) of frames from ``first`` on: t / N over its sum (N + 1) / 2, 0 behind N."""
    t = torch.arange(first + 1, first + width + 1, device=n_frames.device)
    total = (n_frames * (n_frames + 1)).clamp(min=1)[:, None]
    return real_frames(n_frames, width, first) * (2.0 * t) / total


def _start_remembering(cells: nn.LSTM) -> None:
    """Set the biases: 1 for forget gates (the second quarter), else 0."""
    for name, parameter in cells.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(parameter)
        if name.startswith("bias_ih"):  # torch adds a second one, bias_hh
            nn.init.ones_(parameter.data[cells.hidden_size : 2 * cells.hidden_size])
