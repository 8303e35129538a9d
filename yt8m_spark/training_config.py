"""Options of every job that trains."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.config import describe_config, option
from yt8m_spark.core.label_rates import PRECISION, RECALL
from yt8m_spark.core.training_options import BOOTSTRAPS, TrainingOptions
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.label_rates import check_label_rate, rates_of_entities
from yt8m_spark.positive_weights import check_positive_weights, positive_weights
from yt8m_spark.run import JobConfig, Run
from yt8m_spark.spark.provenance import table_stamp
from yt8m_spark.spark.shards import local_cache_for
from yt8m_spark.spark.tables import read_codes, read_table
from yt8m_spark.spark.training import Extras, TrainingData, prepare_shards

__all__ = ["MapperConfig", "TrainingConfig", "lay_out", "settings_of"]

_GIVEN = TrainingOptions()

# Numbers, or files of numbers.
_FILES = ("positive_weight", "label_recall", "label_precision")
# What has no say in the weights, and so may change when a training is resumed.
_FREE = {
    "output",
    "overwrite",
    "dry_run",
    "resume",
    "tracking_uri",
    "experiment",
    "cache",
    "device",
    "checkpoint_seconds",
    "log_model",
}


@dataclass(frozen=True, kw_only=True)
class MapperConfig(JobConfig):
    """How mappers work, whatever the hyper-parameters that a search may vary."""

    epochs: int = option("passes over the videos; ours", _GIVEN.n_epochs)
    initial_accumulator: float = option(
        "where AdaGrad's sum of squares starts at least; ours", _GIVEN.initial_accumulator
    )
    accumulator_videos: float = option(
        "AdaGrad's sums start as if so many videos had been seen; ours",
        _GIVEN.accumulator_videos,
    )
    seed: int = option("of the order of videos and of first weights", _GIVEN.seed)
    average: float = option(
        "last share of the passes over which weights are averaged; ours", _GIVEN.average
    )
    prior_bias: bool = option(
        "start each bias at the log-odds of its entity; ours", _GIVEN.prior_bias
    )
    moe_initial_std: float = option(
        "spread of a mixture's first weights; ours", _GIVEN.moe_initial_std
    )
    positive_weight: str = option(
        "what a positive counts: a number, rare, balanced, or a CSV of entity,weight; ours", "rare"
    )
    tolerance: float = option(
        "stop an entity whose loss falls by less than this share in a pass; 0: none",
        _GIVEN.tolerance,
    )
    negative_rate: float = option(
        "share of the videos without a label of the block that it looks at, weighted to make up",
        _GIVEN.negative_rate,
    )
    label_noise: Literal["none", "bootstrap_soft", "bootstrap_hard", "missing"] = option(
        "how wrong and missing labels are reckoned with (§3.5, [25, 29])", _GIVEN.label_noise
    )
    label_trust: float | None = option(
        "share by which bootstrapping trusts a label (default: 0.95 soft, 0.8 hard)", None
    )
    label_recall: str = option(
        "share of the true labels that are there: a number, or a CSV of entity,recall (§3.5)",
        str(RECALL),
    )
    label_precision: str = option(
        "share of the labels that are true: a number, or a CSV of entity,precision (§3.5)",
        str(PRECISION),
    )
    block_size: int | None = option("entities a task (default: by cache, memory and slots)", None)
    shards: Literal["float32", "float16", "uint8"] = option(
        "how training shards store features", "float32"
    )
    cache: str = option("folder of a local disk for copies of the shards; auto, none", "auto")
    device: Literal["auto", "cpu", "cuda", "torch-cpu"] = option("where tasks compute", "auto")
    checkpoint_seconds: float = option("a lost task loses at most so much work", 60.0)
    vocabulary: str | None = option("CSV of the entities that labels may name", None)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in ("epochs", "block_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        check_positive_weights(self.positive_weight)
        self._check_label_noise()
        if not self.checkpoint_seconds > 0:
            raise ValueError(f"checkpoint_seconds must be above 0, got {self.checkpoint_seconds}")
        self.training_options()

    def _check_label_noise(self) -> None:
        """Refuse rates out of range, and what the label noise has no use for."""
        if self.label_trust is not None and self.label_noise not in BOOTSTRAPS:
            raise ValueError(f"label_trust is of {' and '.join(BOOTSTRAPS)} alone")
        for name, usual in (("label_recall", RECALL), ("label_precision", PRECISION)):
            given = getattr(self, name)
            check_label_rate(name, given)
            if given != str(usual) and self.label_noise != "missing":
                raise ValueError(f"{name} is of label_noise missing alone")

    def training_options(self) -> TrainingOptions:
        """Hyper-parameters of the mapper; those that this job has no option for, as they are."""
        given = {f.name for f in fields(TrainingOptions)} & {f.name for f in fields(self)}
        return TrainingOptions(
            n_epochs=self.epochs, **{name: getattr(self, name) for name in given}
        )

    def extras(self, data: TrainingData, entities: NDArray[np.int64] | None = None) -> Extras:
        """Where and how tasks work on ``data``, for ``entities`` (default: all labels)."""
        ids = data.entities if entities is None else entities
        n_videos, folder = data.shards.n_videos, data.shards.folder
        automatic = local_cache_for(folder) if self.cache == "auto" else self.cache
        told = {"positive_weight": self.positive_weight}
        recall = precision = None
        if self.label_noise == "missing":
            recall = rates_of_entities("recall", self.label_recall, ids)
            precision = rates_of_entities("precision", self.label_precision, ids)
            told |= {n: getattr(self, n) for n in ("label_recall", "label_precision")}
        return Extras(
            positive_weights=positive_weights(
                self.positive_weight, ids, data.n_positives(ids), n_videos
            ),
            label_recall=recall,
            label_precision=precision,
            device=self.device,
            cache=None if self.cache == "none" else automatic,
            checkpoint_seconds=self.checkpoint_seconds,
            told=told,
        )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(MapperConfig):
    """How one-vs-all classifiers are trained: the paper's values where it gives them."""

    n_experts: int = option("experts of a mixture, H (§4.3.3)", 2)
    learning_rate: float = option("of AdaGrad (§4.3 has 1.0)", _GIVEN.learning_rate)
    batch_size: int = option("videos of a mini-batch (§4.3)", _GIVEN.batch_size)
    l2: float = option("weight of ½|w|² in the loss; ours", _GIVEN.l2)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        if self.n_experts < 1:
            raise ValueError(f"n_experts must be at least 1, got {self.n_experts}")


def lay_out(run: Run, config: MapperConfig, features: str, work: str) -> TrainingData:
    """Training shards of the features table at ``features`` in the folder ``work``."""
    table, codebook = read_table(run.spark, features), None
    if config.shards == "uint8":  # codes stay what they are
        table, codebook = read_codes(run.spark, features)
    return prepare_shards(
        table,
        work,
        seed=config.seed,
        dtype=config.shards,
        codebook=codebook,
        vocabulary=read_vocabulary(config.vocabulary).entities if config.vocabulary else None,
    )


def settings_of(
    config: MapperConfig, tables: Mapping[str, str], free: frozenset[str] = frozenset()
) -> dict[str, str]:
    """All that decides about a training, by the names that users know, for `work_folder`.

    ``tables`` are the paths of its inputs by their flags; options in ``free`` decide nothing. Of
    options that may be files, what is in them counts, too.
    """
    named = describe_config(config)
    settings = {f"--{k.replace('_', '-')}": v for k, v in named.items() if k not in _FREE | free}
    given = {k: named[k] for k in _FILES if os.path.isfile(named.get(k, ""))}
    files = {f"the file of --{k.replace('_', '-')}": table_stamp(p) for k, p in given.items()}
    return settings | files | {f"the table of {f}": table_stamp(p) for f, p in tables.items()}
