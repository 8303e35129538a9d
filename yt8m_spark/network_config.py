"""Options of the networks: those of train_deep and of the recipes on networks alike."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from yt8m_spark.config import describe_config, load_config, option
from yt8m_spark.errors import InputError
from yt8m_spark.formats.mounted_paths import mounted
from yt8m_spark.spark.provenance import table_stamp
from yt8m_spark.spark.storage import is_remote, match_files
from yt8m_spark.spark.tables import is_table

__all__ = [
    "NETWORKS",
    "NetworkConfig",
    "check_torch",
    "load_networks",
    "network_settings",
    "source_stamp",
]

NETWORKS = ("dbof", "lstm", "mean")

# Frames of a video that a network learns from, and how they are chosen.
_FRAMES = {"dbof": 30, "lstm": 0, "mean": 0}
_SAMPLING = {"dbof": "random", "lstm": "stretch", "mean": "all"}

# What may change when a training goes on: what has no say in the weights, beyond the last bits, and
# what helps one whose loss was no number any more.
_FREE = {
    "learning_rate",
    "clip",
    "warmup_steps",
    "output",
    "overwrite",
    "dry_run",
    "resume",
    "tracking_uri",
    "experiment",
    "validate",
    "epochs",
    "n_processes",
    "launch",
    "device",
    "precision",
    "compile",
    "threads",
    "n_readers",
    "checkpoint_seconds",
    "keep_checkpoints",
    "choose",
    "log_model",
    "register",
    "alias",
}


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """How networks of frames are trained: the paper's values where it gives them."""

    epochs: int = option("passes over the videos; ours", 10)
    batch_size: int = option("videos of a step, of all processes together; ours", 128)
    n_processes: int | None = option(
        "ranks that train together (default: one, or one a GPU of this machine)", None
    )
    device: Literal["auto", "cpu", "cuda"] = option("where ranks compute", "auto")
    launch: Literal["local", "spark"] = option(
        "ranks are processes of this machine, or barrier tasks of the cluster", "local"
    )
    features: tuple[str, ...] = option("feature lists (default: all there are)", ())
    normalize: bool = option("scale the vector of a frame to length 1; ours", True)
    n_frames: int | None = option(
        "frames of a video to learn from, 0 for all (default: dbof 30 random ones, lstm all, or so "
        "many in a row; ours)",
        None,
    )
    units: int = option("units M of DBoF's shared layer (§4.1.2)", 8192)
    pooling: Literal["max", "average"] = option("over the frames, of DBoF (§4.1.2)", "max")
    hidden: int = option("units of DBoF's layer after pooling (§4.1.2)", 1024)
    layers: int = option("LSTM layers (§4.1.3)", 2)
    cells: int = option("units of an LSTM layer (§4.1.3)", 1024)
    horizon: int = option("frames that an LSTM's gradient goes back (§4.1.3)", 60)
    classifier: Literal["logistic", "softmax", "moe"] = option(
        "output layer (§4.1.2: logistic or softmax)", "logistic"
    )
    n_experts: int = option("experts of a mixture, H (§4.3.3)", 2)
    optimizer: Literal["adagrad", "adamw"] = option("AdaGrad in §4.1.2", "adagrad")
    learning_rate: float = option("of the optimizer (§4.1.2 has 0.1)", 0.1)
    weight_decay: float = option("of weights, not of biases (§4.1.2)", 5e-4)
    clip: float = option("largest norm of the gradient of a step, 0 for any; ours", 0.0)
    warmup_steps: int = option("steps over which the learning rate grows from 0; ours", 0)
    ema: float = option(
        "decay of a moving average of the weights, which the model takes; 0 for none; ours", 0.99
    )
    accumulator_start: float = option("where AdaGrad's sums of squares start; TensorFlow's", 0.1)
    micro_batch: int = option("videos that a rank takes at once, 0 for all of its step", 0)
    precision: Literal["auto", "float32", "bf16"] = option(
        "of products: bf16 on a GPU, float32 elsewhere", "auto"
    )
    compile: bool = option("torch.compile the network; pays on a GPU", False)
    seed: int = option("of first weights, of the order of videos and of frames", 0)
    shuffle_videos: int = option("videos that are shuffled together by a rank", 1024)
    n_readers: int = option("processes that read ahead for a rank; 0: itself", 1)
    threads: int | None = option(
        "CPU threads of a rank (default: the cores of this machine, shared by its ranks; 1 in a "
        "task of Spark)",
        None,
    )
    checkpoint_seconds: float = option("a stopped training loses at most so much work", 300.0)
    keep_checkpoints: int = option("newest checkpoints, and models of passes, that are kept", 2)
    choose: Literal["best", "last"] = option(
        "the model of which pass: of the best validate_map, where there is --validate, or the last",
        "best",
    )
    without_frames: Literal["refuse", "skip"] = option(
        "videos that lack frames of a feature list", "refuse"
    )

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in (
            *("epochs", "batch_size", "units", "hidden", "layers", "cells", "horizon"),
            *("n_experts", "shuffle_videos", "keep_checkpoints"),
        ):
            self._check(name, 1)
        for name in ("weight_decay", "clip", "warmup_steps", "ema", "micro_batch", "seed"):
            self._check(name, 0)
        self._check("n_readers", 0)
        self._check("checkpoint_seconds", 0)
        if self.n_processes is not None:
            self._check("n_processes", 1)
            if self.batch_size % self.n_processes:
                raise ValueError(
                    f"batch_size must be a multiple of n_processes ({self.n_processes}), "
                    f"got {self.batch_size}"
                )
        if self.threads is not None:
            self._check("threads", 1)
        if self.n_frames is not None:
            self._check("n_frames", 0)
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not self.accumulator_start > 0:
            raise ValueError(f"accumulator_start must be above 0, got {self.accumulator_start}")
        if self.ema >= 1:
            raise ValueError(f"ema must be below 1, got {self.ema}")

    def frames_of(self, network: str) -> tuple[str, int]:
        """How ``network`` chooses frames of a video to learn from, and how many; 0 for all.

        Raises
        ------
        InputError
            If the number is none for this network.
        """
        n_frames = _FRAMES[network] if self.n_frames is None else self.n_frames
        if network == "dbof" and not n_frames:
            raise InputError("DBoF learns from a number of frames", expected="--n-frames 1 or more")
        sampling = _SAMPLING[network]
        if network == "mean" and n_frames:
            sampling = "random"
        return sampling, n_frames

    def check_normalized(self, network: str, n_ranks: int, trainable: str = "all") -> None:
        """Refuse steps in which ``network``, on ``n_ranks``, has one video to normalize.

        Raises
        ------
        InputError
            If batch normalization would subtract each video from itself: nothing is learned.
        """
        if network != "dbof" or trainable == "output":  # which keeps the running moments
            return
        of_rank = self.batch_size // n_ranks
        of_rank = min(self.micro_batch or of_rank, of_rank)
        if of_rank * n_ranks < 2:
            raise InputError(
                "too few videos are normalized together, over all ranks",
                expected="2 or more: a larger --batch-size or --micro-batch",
                found=of_rank * n_ranks,
            )

    def threads_of(self, n_ranks: int) -> int:
        """CPU threads of each of ``n_ranks``: as asked for, or its share of this machine's cores.

        A task of Spark has one core, whose number Spark alone knows.
        """
        if self.threads is not None:
            return self.threads
        if self.launch == "spark":
            return 1
        return max(1, len(os.sched_getaffinity(0)) // n_ranks)

    def _check(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def load_networks(path: str | None) -> NetworkConfig:
    """Options of the networks in a TOML file; the usual ones without a file.

    Raises
    ------
    InputError
        If the file is none, or has a key or value that is no option of networks.
    """
    return load_config(NetworkConfig, [] if path is None else ["--config", path], job="networks")


def check_torch() -> None:
    """Refuse a machine without torch before any work is done.

    Raises
    ------
    InputError
        If torch or safetensors is not installed.
    """
    for name in ("torch", "safetensors"):
        if find_spec(name) is None:
            raise InputError(f"{name} is not installed", expected="pip install 'yt8m_spark[deep]'")


def network_settings(config: NetworkConfig, sources: Mapping[str, str]) -> dict[str, str]:
    """All that decides about the weights, by the names that users know, for `work_folder`.

    ``sources`` are the paths of its inputs by their flags.
    """
    named = describe_config(config).items()
    settings = {f"--{k.replace('_', '-')}": v for k, v in named if k not in _FREE}
    return settings | {f"the data of {flag}": source_stamp(p) for flag, p in sources.items()}


def source_stamp(source: str) -> str:
    """Digest of the files of a table, of shards or of a model: another once they are rewritten.

    Raises
    ------
    InputError
        If ``source`` is not on a mounted file system, which ranks read by themselves.
    """
    if is_remote(source):
        expected = "a path of a mounted file system"
        raise InputError("ranks cannot read this storage", where=source, expected=expected)
    path = Path(mounted(source))
    if path.is_dir() or is_table(str(path)):
        return table_stamp(str(path))
    listed = [(file, Path(file.path).stat().st_mtime_ns) for file in match_files(source)]
    return hashlib.sha256(repr(listed).encode()).hexdigest()
