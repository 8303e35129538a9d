"""Options of jobs/transfer.py, and what follows from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yt8m_spark.config import option
from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.label_noise import check_label_noise
from yt8m_spark.core.losses import check_tolerance
from yt8m_spark.core.whitening_options import WhiteningOptions
from yt8m_spark.errors import InputError
from yt8m_spark.formats.class_lists import read_classes
from yt8m_spark.formats.target_labels import split_name
from yt8m_spark.formats.vocabulary import Vocabulary
from yt8m_spark.formats.vocabulary_details import VocabularyDetails, read_vocabulary_details
from yt8m_spark.network_config import check_torch, load_networks, source_stamp
from yt8m_spark.scorer import is_network, read_description
from yt8m_spark.spark.provenance import table_stamp
from yt8m_spark.spark.storage import is_remote, match_files
from yt8m_spark.spark.tables import is_table
from yt8m_spark.training_config import TrainingConfig, settings_of
from yt8m_spark.transfer import Source, TransferOptions
from yt8m_spark.transfer_rows import DEFAULT_STATISTICS, TransferRow, default_rows, parse_row
from yt8m_spark.transfer_target import LabelFiles
from yt8m_spark.transfer_whitening import (
    SourceWhitening,
    WhiteningChoice,
    read_source_whitenings,
)

__all__ = ["Config"]

# What has no say in the rows that are made.
_PATHS = {"frames", "labels", "train", "test", "vocabulary", "whitening", "network", "networks"}
_FREE = frozenset({"rows", *_PATHS})


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Carry what was learned on a source to another dataset: a table like the paper's Table 5."""

    frames: str | None = option("the target: glob of TFRecord shards, or table", None)
    labels: tuple[str, ...] = option("files of its labels and splits", ())
    labels_format: Literal["table", "sports1m", "activitynet"] = option(
        "CSV or Parquet of video_id, labels, split; Sports-1M's lists; ActivityNet's JSON", "table"
    )
    conflicts: Literal["refuse", "drop"] = option(
        "videos that come twice with other labels or in another split", "refuse"
    )
    train_split: str = option("split of the labels to learn from", "train")
    test_split: str | None = option(
        "split to test on (default: test, or validate where test has no labels)", None
    )
    train: str | None = option("instead of --frames: what to learn from, by its own labels", None)
    test: str | None = option("instead of --frames: what to test on, by its own labels", None)
    vocabulary: str | None = option(
        "classes of the target: a vocabulary CSV, or lines of names or of number, tab, name", None
    )
    whitening: tuple[str, ...] = option(
        "whitenings learned on the source; their columns tell which rows they are for", ()
    )
    network: str | None = option("network learned on the source, of train_deep", None)
    networks: str | None = option(
        "TOML file of options of train_deep for rows on networks; sizes are those of --network",
        None,
    )
    rows: tuple[str, ...] = option(
        "<own or transferred>_<loss>_<statistics>, <network>_<scratch, frozen or finetuned> "
        "(default: all that the inputs allow)",
        (),
    )
    classifier: Literal["one_vs_all", "softmax"] = option(
        "logistic regressions and networks: one for each entity, or one distribution over all",
        "one_vs_all",
    )
    features: tuple[str, ...] = option("feature lists (default: the whitening's, or all)", ())
    n_components: int | None = option(
        "PCA components of both whitenings (default: the transferred one's, or all)", None
    )
    ridge: float | None = option(
        "of both whitenings (default: the transferred one's, or that of fit_whitening)", None
    )
    bootstrap: int = option("replicates for 95 % intervals, at least 40; 0 for none", 0)
    resume: bool = option("go on with a transfer that was stopped", False)

    def __post_init__(self) -> None:
        """Refuse values out of range, and inputs that do not go together."""
        super().__post_init__()
        of_labels = self.frames is not None and bool(self.labels)
        of_splits = self.train is not None and self.test is not None
        given = bool(self.frames or self.labels), bool(self.train or self.test)
        if not (of_labels or of_splits) or all(given):
            raise ValueError("the target is --frames with --labels, or --train with --test")
        for name in ("train_split", "test_split"):
            split = getattr(self, name)
            if split is not None and split_name(split) is None:
                raise ValueError(f"{name} must be train, validate or test, got {split!r}")
        if self.classifier == "softmax":
            check_label_noise("softmax", self.label_noise)
            check_tolerance("softmax", self.tolerance)
        for row in map(parse_row, self.rows):
            if not row.of_network:
                check_label_noise(row.recipe.loss, self.label_noise)
        usual = WhiteningOptions(n_components=self.n_components)
        (usual if self.ridge is None else usual._replace(ridge=self.ridge)).check()
        EvaluationOptions(n_replicates=self.bootstrap)

    def source(self) -> Source:
        """What was learned elsewhere.

        Raises
        ------
        InputError
            If a whitening or the network cannot be read, or ``features`` are not a whitening's.
        """
        whitenings = read_source_whitenings(self.whitening)
        for found in whitenings.values():
            if self.features and found.lists != self.features:
                raise InputError(
                    "whitening is of other feature lists than --features",
                    where=found.folder,
                    expected=", ".join(self.features),
                    found=", ".join(found.lists),
                )
        if self.network is not None and not is_network(self.network):
            raise InputError("no network", where=self.network, expected="a model of train_deep")
        return Source(whitenings, self.network)

    def chosen_rows(self, source: Source, *, has_frames: bool) -> list[TransferRow]:
        """Rows to make, each once.

        Raises
        ------
        InputError
            If a row needs something of the source that is not given, or torch, which is not there.
        """
        kind = None
        if source.network is not None:
            kind = str(read_description(source.network)["network"])
        if self.rows:
            rows = [parse_row(name) for name in dict.fromkeys(self.rows)]
        else:
            given = [found.statistics for found in source.whitenings.values()]
            possible = DEFAULT_STATISTICS if has_frames else DEFAULT_STATISTICS[:1]
            rows = default_rows(
                given or possible, list(source.whitenings), kind if has_frames else None
            )
        for row in rows:
            _check_row(row, source.whitenings, kind)
        if any(row.of_network for row in rows):
            check_torch()
        return rows

    def label_files(self) -> LabelFiles:
        """Where the labels are."""
        test = None if self.test_split is None else split_name(self.test_split)
        train = split_name(self.train_split) or self.train_split
        return LabelFiles(
            self.labels, self.labels_format, self.vocabulary, self.conflicts, train, test
        )

    def options(self, source: Source) -> TransferOptions:
        """What all rows have in common."""
        lists = next((found.lists for found in source.whitenings.values()), self.features)
        return TransferOptions(
            features=lists,
            whitening=WhiteningChoice(self.n_components, self.ridge),
            softmax=self.classifier == "softmax",
            n_experts=self.n_experts,
            training=self.training_options(),
            shards=self.shards,
            extras=self.extras,
            block_size=self.block_size,
            names=self._names(),
            evaluation=EvaluationOptions(n_replicates=self.bootstrap),
            networks=load_networks(self.networks),
        )

    def settings(self) -> dict[str, str]:
        """All that decides about the rows, for `work_folder`."""
        given = {
            "--frames": [self.frames],
            "--labels": self.labels,
            "--train": [self.train],
            "--test": [self.test],
            "--vocabulary": [self.vocabulary],
            "--whitening": self.whitening,
            "--network": [self.network],
            "--networks": [self.networks],
        }
        stamps = {
            f"the data of {flag}": " ".join(_stamp(path) for path in paths if path)
            for flag, paths in given.items()
        }
        return settings_of(self, {}, _FREE) | stamps

    def inputs(self) -> list[str | None]:
        """Paths that are read."""
        singles = [self.frames, self.train, self.test, self.vocabulary, self.network, self.networks]
        return [*singles, *self.labels, *self.whitening]

    def row_params(self, row: TransferRow) -> dict[str, str]:
        """What an MLflow run of ``row`` tells of it."""
        one_vs_all = row.recipe.loss == "moe" or self.classifier == "one_vs_all"
        return {
            "row": row.name,
            "row_features": row.recipe.network or row.recipe.feature_set,
            "row_whitening": "none" if row.of_network else row.way,
            "row_transfers": row.gain or "nothing",
            "row_classifier": "one_vs_all" if one_vs_all else "softmax",
        }

    def _names(self) -> Vocabulary | VocabularyDetails | None:
        """Names of the classes."""
        if self.vocabulary is None:
            return None
        if self.vocabulary.lower().endswith(".csv"):
            return read_vocabulary_details(self.vocabulary)
        return read_classes(self.vocabulary)


def _stamp(path: str) -> str:
    """What is another once the file, table or shards at ``path`` are rewritten.

    Of remote shards: once a name or a size is another; of a remote table: the name alone.
    """
    if is_remote(path):
        listed = [path] if is_table(path) else match_files(path)  # Spark alone reads tables there
        return hashlib.sha256(repr(listed).encode()).hexdigest()
    return table_stamp(path) if Path(path).exists() else source_stamp(path)


def _check_row(
    row: TransferRow, whitenings: Mapping[str, SourceWhitening], network: str | None
) -> None:
    """Refuse a row that needs what is not given."""
    if row.way == "transferred" and row.recipe.feature_set not in whitenings:
        raise InputError(
            f"row {row.name} needs a whitening of {row.recipe.feature_set}",
            expected="one of them in --whitening",
            found=", ".join(whitenings) or "none",
        )
    if row.of_network and (row.needs_source or network) and row.recipe.network != network:
        raise InputError(
            f"row {row.name} needs a network of its kind",
            expected="one in --network",
            found=network or "none",
        )
