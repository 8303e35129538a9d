"""The networks of §4.1 in float64 NumPy, frame by frame and cell by cell: what torch must give."""

import numpy as np
import torch
from scipy.special import expit, log_softmax, logsumexp, softmax

from yt8m_spark.core.moe import moe_loss, moe_probability
from yt8m_spark.deep.networks import NetworkOptions, build_network

EPSILON = 1e-5  # of batch normalization


def small_options(network, **changed):
    sizes = {"n_units": 12, "n_hidden": 7, "n_layers": 2, "n_cells": 6, "horizon": 4}
    return NetworkOptions(network, {"rgb": 5, "audio": 3}, 4, **sizes | changed)


def small_network(network, seed=0, **changed):
    """A network whose every weight is drawn, those that start at 0 or 1 too."""
    options = small_options(network, **changed)
    torch.manual_seed(seed)
    built = build_network(options)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
        for name, buffer in built.named_buffers():
            buffer.add_(torch.rand_like(buffer), alpha=0.5 if "variance" in name else 0.1)
    return built, options


def batch_of(n_frames, n_features=8, n_entities=4, seed=1):
    """Codes (B, F, D), n_frames (B,) and labels (B, E); behind the frames of a video is rubbish."""
    generator = torch.Generator().manual_seed(seed)
    shape = len(n_frames), max(n_frames), n_features
    codes = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = (torch.rand(len(n_frames), n_entities, generator=generator) < 0.4).float()
    return codes, torch.tensor(n_frames), labels


def float64(network):
    """State of a network by name, as float64 arrays."""
    return {name: value.double().numpy() for name, value in network.state_dict().items()}


def frames_of(codes, normalize=True):
    """Dequantized frames (N, D): q 4/255 + 4/512 - 2, each scaled to length 1."""
    x = codes.astype(np.float64) * 4 / 255 + 4 / 512 - 2
    return x / np.sqrt((x**2).sum(1, keepdims=True)) if normalize else x


def videos_of(codes, n_frames, normalize=True):
    """Frames of each video, a list of (n, D)."""
    counted = zip(codes.numpy(), n_frames.tolist(), strict=True)
    return [frames_of(video[:n], normalize) for video, n in counted]


def logits_of(state, activations):
    return activations @ state["output.linear.weight"].T + state["output.linear.bias"]


def output_probability(options, state, activations):
    """(N, E) for activations (N, A)."""
    z = logits_of(state, activations)
    if options.classifier == "moe":
        return moe_probability(z.reshape(len(z), 2 * options.n_experts, -1))
    return softmax(z, axis=1) if options.classifier == "softmax" else expit(z)


def output_loss(options, state, activations, labels):
    """Sum over entities for each row of activations (N, A), (N,)."""
    z = logits_of(state, activations)
    if options.classifier == "moe":
        return moe_loss(z.reshape(len(z), 2 * options.n_experts, -1), labels).sum(1)
    if options.classifier == "softmax":
        shares = labels / np.maximum(labels.sum(1, keepdims=True), 1)
        return -(shares * log_softmax(z, axis=1)).sum(1)
    of_label = np.where(labels > 0, z, -z)
    return logsumexp(np.stack([np.zeros_like(z), -of_label]), axis=0).sum(1)


def dbof_activations(options, state, videos, training):
    """Hidden layer (V, A) of videos with frames; ``training``: moments are those of all frames."""
    lengths = [len(frames) for frames in videos]
    units = np.concatenate(videos) @ state["shared.weight"].T
    units = np.maximum(normalized(state, "norm", units, training), 0)
    codes = np.split(units, np.cumsum(lengths)[:-1])
    pool = np.array([c.max(0) if options.pooling == "max" else c.mean(0) for c in codes])
    hidden = pool @ state["hidden.weight"].T
    return np.maximum(normalized(state, "hidden_norm", hidden, training), 0)


def normalized(state, name, rows, training):
    """Rows (N, M) by their own moments or, in evaluation, by the running ones."""
    mean = rows.mean(0) if training else state[f"{name}.running_mean"]
    variance = rows.var(0) if training else state[f"{name}.running_variance"]
    scale = state[f"{name}.weight"] / np.sqrt(variance + EPSILON)
    return (rows - mean) * scale + state[f"{name}.bias"]


def lstm_outputs(state, frames, n_layers):
    """Outputs of all layers at each frame, (L, N, C), by the equations of the cell."""
    layers = []
    for layer in range(n_layers):
        w, u, b, c = (
            state[f"cells.{name}_l{layer}"]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h = cell = np.zeros(u.shape[1])
        outputs = []
        for x in frames:
            i, f, g, o = np.split(w @ x + u @ h + b + c, 4)
            cell = expit(f) * cell + expit(i) * np.tanh(g)
            h = expit(o) * np.tanh(cell)
            outputs.append(h)
        frames = np.array(outputs)
        layers.append(frames)
    return np.array(layers)
