"""Folders of small networks, videos for them, and their scores one video at a time."""

import numpy as np
import torch

from yt8m_spark.core.frame_sampling import FrameLists
from yt8m_spark.deep.model_files import save_network
from yt8m_spark.deep.networks import NetworkOptions, build_network

WIDTHS = {"rgb": 3, "audio": 2}
ENTITIES = list(range(10, 70, 2))  # ids and columns differ
NETWORKS = ("dbof", "lstm", "mean")
# Seconds of rgb and audio: none, one, more than the horizon of an LSTM, one list longer.
LENGTHS = {
    "v0": (0, 0),
    "v1": (1, 1),
    "v2": (3, 3),
    "v3": (0, 2),
    "v4": (70, 70),
    "v5": (5, 4),
    "v6": (9, 9),
}


def write_network(folder, name="dbof", *, seed=0, classifier="logistic", features=None, **changes):
    """Write a small network whose scores spread over [0, 1]; gives the folder and the network."""
    entities = changes.pop("entities", ENTITIES)
    sizes = {"n_units": 16, "n_hidden": 8, "n_layers": 2, "n_cells": 6, "horizon": 20}
    options = NetworkOptions(
        name, features or WIDTHS, len(entities), classifier=classifier, **sizes | changes
    )
    torch.manual_seed(seed)
    network = build_network(options)
    with torch.no_grad():
        network.output.linear.weight.mul_(12)
        network.output.linear.bias.normal_()
        for buffer_name, buffer in network.named_buffers():  # of batch normalization
            buffer.uniform_(0.05, 2) if "variance" in buffer_name else buffer.normal_(std=0.1)
    ids = np.array(entities)
    save_network(str(folder), network, options, ids, np.arange(1, len(ids) + 1), {"epochs": 1})
    return str(folder), network.eval()


def frame_codes(widths=WIDTHS, lengths=LENGTHS, seed=0):
    """Codes of each video: an array (F, width) for each list."""
    rng = np.random.default_rng(seed)
    return {
        video_id: tuple(
            rng.integers(0, 256, size=(length, width), dtype=np.uint8)
            for length, width in zip(of, widths.values(), strict=True)
        )
        for video_id, of in lengths.items()
    }


def lists_of(codes):
    """`FrameLists` of all videos of ``codes``."""
    lists = list(zip(*codes.values(), strict=True))
    offsets = [np.cumsum([0, *map(len, parts)]) for parts in lists]
    return FrameLists([np.concatenate(parts) for parts in lists], offsets)


def one_by_one(network, codes, compute="probabilities"):
    """Scores, or activations, of each video by itself, without padding; 0 without frames."""
    found = {}
    for video_id, parts in codes.items():
        n_frames = min(map(len, parts))
        both = np.concatenate([part[:n_frames] for part in parts], axis=1)[None]
        with torch.no_grad():
            out = getattr(network, compute)(torch.from_numpy(both), torch.tensor([n_frames]))
        found[video_id] = out[0].numpy() * (n_frames > 0)
    return found
