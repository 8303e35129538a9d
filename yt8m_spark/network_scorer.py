"""Score frames with a trained network, without Spark (paper §4.1.2, §4.1.3).

    network = load_scored_network("model")
    scores = score_network(network, lists)    # (V, E)

torch is loaded when a network is, not with this file. Axes: V videos, F frames of the longest of a
group, D features of a frame, E entities, A activations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.frame_groups import length_groups, padded_codes
from yt8m_spark.core.frame_sampling import FrameLists
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import WEIGHTS, check_model, is_network, model_frames

if TYPE_CHECKING:  # torch takes seconds
    from yt8m_spark.deep.networks import NetworkOptions

__all__ = [
    "ScoredNetwork",
    "is_network",
    "load_scored_network",
    "network_activations",
    "score_network",
]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# What the widest layer may hold of the frames that are scored at once, in float32.
_BYTES_AT_ONCE = 256 << 20


class ScoredNetwork(NamedTuple):
    """A network in memory, in evaluation mode: scores do not depend on what is scored beside."""

    network: Any  # torch.nn.Module of `deep.networks`
    entities: Ints  # (E,), ascending
    features: dict[str, int]  # feature lists and their widths, in order
    device: str
    frames_at_once: int

    @property
    def n_activations(self) -> int:
        """A."""
        return int(self.network.n_activations)


def load_scored_network(folder: str) -> ScoredNetwork:
    """Network in the model ``folder``; read once for each process and model, the last one kept.

    It is on the GPU where torch sees one, and each task that scores has a copy there; else on the
    CPU, with as many threads as OMP_NUM_THREADS says, which Spark sets to the cores of a task.

    Raises
    ------
    InputError
        If ``folder`` holds no network, its files do not fit together, or torch or safetensors is
        not installed.
    """
    path = Path(folder).resolve()
    check_model(str(path))
    if not is_network(str(path)):
        raise InputError("model is no network", where=folder, expected="one of train_deep")
    digest = hashlib.sha256((path / "model.json").read_bytes()).hexdigest()
    return _cached_network(str(path), digest, (path / WEIGHTS).stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _cached_network(folder: str, _digest: str, _written: int) -> ScoredNetwork:
    try:
        import torch

        from yt8m_spark.deep.model_files import load_network
    except ModuleNotFoundError as error:
        expected = "pip install 'yt8m_spark[deep]', to score with a network"
        raise InputError(f"{error.name} is not installed", expected=expected) from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, options, entities = load_network(folder, device)
    features = _features(folder, options.widths)
    at_once = max(1, _BYTES_AT_ONCE // (4 * _widest(options)))
    return ScoredNetwork(network, entities, features, device, at_once)


def _widest(options: NetworkOptions) -> int:
    """Numbers of the widest layer that a network holds of all frames that are scored at once."""
    if options.network != "lstm":
        return options.n_features  # DBoF bounds its M units itself
    per_entity = 2 * options.n_experts if options.classifier == "moe" else 1
    return max(options.n_features, 4 * options.n_cells, per_entity * options.n_entities)


def _features(folder: str, expected: Mapping[str, int]) -> dict[str, int]:
    """Feature lists of the network, which what reads frames for it knows from model.json alone."""
    frames = model_frames(folder)
    found = {} if frames is None else frames.features
    if list(found.items()) != list(expected.items()):
        where = str(Path(folder) / "model.json")
        raise InputError(
            "frames are not those of the network",
            where=where,
            expected=dict(expected),
            found=found,
        )
    return found


def score_network(scored: ScoredNetwork, lists: FrameLists) -> Floats:
    """Score of every video and entity, (V, E) in [0, 1], from all frames of a video.

    A video without frames scores 0 for every entity (ours: nothing was seen, and the video stays
    in every metric). Videos are scored in groups of about one length.

    Raises
    ------
    InputError
        If a score is not a number: weights that are none, or too large.
    """
    return _of_groups(scored, lists, scored.network.probabilities, len(scored.entities))


def network_activations(scored: ScoredNetwork, lists: FrameLists) -> Floats:
    """What the output layer sees of every video, (V, A); 0 for a video without frames.

    Raises
    ------
    InputError
        As `score_network`.
    """
    return _of_groups(scored, lists, scored.network.activations, scored.n_activations)


def _of_groups(
    scored: ScoredNetwork, lists: FrameLists, compute: Callable[..., Any], width: int
) -> Floats:
    """``compute`` of every video, (V, width)."""
    import torch

    counts = lists.counts
    out = np.zeros((len(counts), width), dtype=np.float32)
    with torch.inference_mode():
        for videos in length_groups(counts, scored.frames_at_once):
            codes = torch.from_numpy(padded_codes(lists, videos)).to(scored.device)
            n_frames = torch.from_numpy(counts[videos]).to(scored.device)
            out[videos] = compute(codes, n_frames).float().cpu().numpy()
    if not np.isfinite(out).all():
        raise InputError("score is not a number", expected="a network whose weights are finite")
    return out
