"""All that decides about the training of a network, as one value that is a JSON file."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, TypeVar

from yt8m_spark.artifacts import load_json, staged_file
from yt8m_spark.deep.feed import FeedOptions
from yt8m_spark.deep.networks import NetworkOptions
from yt8m_spark.errors import InputError

__all__ = ["Training", "load_training", "save_training"]

Options = TypeVar("Options")

_CHOICES = {
    "optimizer": ("adagrad", "adamw"),
    "precision": ("auto", "float32", "bf16"),
    "device": ("auto", "cpu", "cuda"),
    "trainable": ("all", "output"),
}
_AT_LEAST_0 = ("weight_decay", "clip", "warmup_steps", "micro_batch", "checkpoint_seconds")
_AT_LEAST_1 = ("epochs", "n_threads", "keep_checkpoints")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """A training of one network, from its first video to its last.

    Paper: §4.1.2 for AdaGrad, its learning rate and the weight decay; the rest is ours.

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    network: NetworkOptions
    feed: FeedOptions  # its batch_size is of all ranks together
    index: str  # file of the shards and their counts, of `shard_index.save_index`
    entities: str  # Parquet file or folder, a row an output: entity, n_positives
    folder: str  # steps.jsonl, checkpoints/, epochs/, errors/; seen by all ranks
    epochs: int = 10
    optimizer: str = "adagrad"
    learning_rate: float = 0.1
    weight_decay: float = 5e-4  # of weight matrices; AdaGrad: L2, AdamW: decoupled
    accumulator_start: float = 0.1  # of AdaGrad; TensorFlow's, the paper gives none
    clip: float = 0.0  # largest norm of a step's gradient; 0: any
    warmup_steps: int = 0  # over which the learning rate grows from nearly 0
    ema: float = 0.0  # decay of the moving average of the weights; 0: none
    micro_batch: int = 0  # videos a rank takes at once; 0: all of a step
    precision: str = "auto"  # of products: bf16 on a GPU, else float32
    compile: bool = False
    device: str = "auto"
    n_threads: int = 1  # of a rank
    seed: int = 0
    checkpoint_seconds: float = 300.0  # between two checkpoints of an epoch; 0: as often as a line
    keep_checkpoints: int = 2  # the newest ones
    initial_model: str | None = None  # folder of the model to start from
    trainable: str = "all"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                _refuse(name, f"one of {', '.join(choices)}", getattr(self, name))
        for name, least in [*((n, 0) for n in _AT_LEAST_0), *((n, 1) for n in _AT_LEAST_1)]:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                _refuse(name, f"at least {least}", value)
        for name in ("learning_rate", "accumulator_start"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                _refuse(name, "above 0", value)
        if not 0 <= self.ema < 1:
            _refuse("ema", "at least 0 and below 1", self.ema)
        if list(self.network.widths.items()) != list(self.feed.widths.items()):
            _refuse(
                "widths of the network",
                f"those of the feed, {self.feed.widths}",
                self.network.widths,
            )


def save_training(path: str | Path, training: Training) -> None:
    """Write ``training`` as JSON, by way of a temporary name."""
    # Not save_json, which sorts: the order of the feature lists is that of a frame's vector.
    with staged_file(Path(path)) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(training), indent=2) + "\n")


def load_training(path: str | Path) -> Training:
    """Read what `save_training` wrote.

    Raises
    ------
    InputError
        If the file is none of that.
    """
    where = str(path)
    described = load_json(Path(path))
    parts = {"network": NetworkOptions, "feed": FeedOptions}
    for name, kind in parts.items():
        if not isinstance(described.get(name), dict):
            raise InputError("not a training", where=where, expected=f"options of the {name}")
        described[name] = _made(kind, described[name], where)
    return _made(Training, described, where)


def _made(kind: type[Options], values: dict[str, Any], where: str) -> Options:
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError("not a training", where=where, found=error) from None


def _refuse(name: str, expected: str, found: object) -> None:
    raise InputError(f"wrong {name.replace('_', ' ')}", expected=expected, found=found)
