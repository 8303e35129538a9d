"""Options of `extract_features`, and the plan that comes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from yt8m_spark.config import describe_config, option
from yt8m_spark.errors import InputError
from yt8m_spark.run import JobConfig
from yt8m_spark.spark.provenance import table_stamp
from yt8m_spark.video.network_files import network_digest

__all__ = ["ExtractionConfig", "check_installed", "extraction_settings"]

# What has no say in the features of a video, and so may change when an extraction is resumed.
_FREE = {"output", "overwrite", "dry_run", "resume", "tracking_uri", "experiment", "format"}
_FREE |= {"max_skipped"}

# `video.decode.Sampling` reckons in fractions of a million.
_LEAST = 1e-6


@dataclass(frozen=True, kw_only=True)
class ExtractionConfig(JobConfig):
    """Decode videos at one frame a second and code what a network sees in them."""

    input: str = option("folder or pattern of videos, or table or CSV of video_id, path, labels")
    network: str = option("ONNX file, or TorchScript archive (it holds code, which is run)")
    layer: str | None = option(
        "tensor of the ONNX graph (default: its only output); entry of TorchScript's output", None
    )
    labels: str | None = option("table or CSV of video_id, labels (ids separated by |)", None)
    pca: str | None = option("frame PCA (§3.3): folder of mean, eigenvals, eigenvecs .npy", None)
    format: Literal["tfrecord", "table"] | None = option(
        "of the output (default: tfrecord; without --pca a table of raw frames)", None
    )
    feature_name: str = option("name of the feature list", "rgb")
    frames_per_second: float = option("frames taken (§3.3)", 1.0)
    max_seconds: float = option("of a video at most (§3.3)", 360.0)
    damaged: Literal["skip", "keep"] = option(
        "what becomes of a video with damage: nothing, or the frames before it", "skip"
    )
    max_skipped: float = option("largest share of videos that may be skipped", 0.1)
    preprocess: Literal["inception", "imagenet", "clip", "none"] = option(
        "what the options below are unless given: the network's own training knows", "inception"
    )
    size: int | None = option("height and width, if the network does not tell", None)
    resize: Literal["exact", "shorter", "none"] | None = option(
        "to the size, whatever the shape; by the shorter side, then a centre crop; not at all", None
    )
    crop: float | None = option("share of the shorter side that the crop takes", None)
    interpolation: Literal["bilinear", "bicubic", "area"] | None = option("how to resize", None)
    scale: float | None = option("factor of a pixel of 0 to 255", None)
    channel_mean: tuple[str, ...] | None = option("subtracted after that, a channel each", None)
    channel_std: tuple[str, ...] | None = option("divided by after that, a channel each", None)
    colour: Literal["rgb", "bgr"] | None = option("order of the network's channels", None)
    layout: Literal["nchw", "nhwc"] | None = option("of images (default: by the network)", None)
    batch_size: int = option("images that the network takes at once", 32)
    threads: int = option("cores of the network in each task", 1)
    n_shards: int | None = option("tasks and files, at most (default: by the videos)", None)
    resume: bool = option("go on with an extraction that was stopped", False)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in ("size", "batch_size", "threads", "n_shards"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("frames_per_second", "max_seconds"):
            value = getattr(self, name)  # less would round to no frame of any video
            if not _LEAST <= value < math.inf:
                raise ValueError(f"{name} must be finite and at least {_LEAST:f}, got {value}")
        for name in ("scale", "crop"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be finite and above 0, got {value}")
        if self.crop is not None and self.crop > 1:
            raise ValueError(f"crop must be at most 1, got {self.crop}")
        if not 0 <= self.max_skipped <= 1:
            raise ValueError(f"max_skipped must be 0 to 1, got {self.max_skipped}")
        if self.pca is None and self.format == "tfrecord":
            raise ValueError("format tfrecord has a byte a number, which takes --pca")
        _triple("channel_mean", self.channel_mean)
        if 0 in (_triple("channel_std", self.channel_std) or ()):
            raise ValueError("channel_std must not be 0")

    @property
    def as_table(self) -> bool:
        """Whether the output is a table, not shards."""
        return self.format == "table" or self.pca is None

    def changes(self) -> dict[str, Any]:
        """What is given of the preprocessing, by the names of `Preprocessing`."""
        given: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("size", "resize", "crop", "interpolation", "scale", "colour")
        }
        given["mean"] = _triple("channel_mean", self.channel_mean)
        given["std"] = _triple("channel_std", self.channel_std)
        return {name: value for name, value in given.items() if value is not None}


def check_installed() -> None:
    """Refuse a machine without PyAV before any work is done.

    Raises
    ------
    InputError
        If PyAV is not installed.
    """
    if find_spec("av") is None:
        raise InputError("av is not installed", expected="pip install 'yt8m_spark[video]'")


def extraction_settings(config: ExtractionConfig) -> dict[str, str]:
    """All that decides about the features, by the names that users know, for `work_folder`.

    Raises
    ------
    InputError
        If there is no network or PCA at its path, or the network's weights cannot be read.
    """
    named = describe_config(config).items()
    settings = {f"--{k.replace('_', '-')}": v for k, v in named if k not in _FREE}
    for path in (config.network, config.pca):
        if path is not None and not Path(path).exists():
            raise InputError("no such file or folder", where=path)
    settings["the file of --network"] = network_digest(config.network)
    if config.pca is not None:
        settings["the files of --pca"] = table_stamp(config.pca)
    if config.labels is not None and Path(config.labels).exists():  # else on remote storage
        settings["the files of --labels"] = table_stamp(config.labels)
    return settings


def _triple(name: str, texts: tuple[str, ...] | None) -> tuple[float, ...] | None:
    """Three numbers."""
    if texts is None:
        return None
    try:
        numbers = tuple(map(float, texts))
    except ValueError:
        numbers = ()
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{name} must be three numbers, got {','.join(texts)}")
    return numbers
