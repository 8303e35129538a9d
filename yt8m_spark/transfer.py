"""Carry what was learned on a source to a target (paper §5.3, §5.4): the rows of Table 5.

Stages that rows share are made once, and each appears whole in the work folder, so that a transfer
that was stopped goes on behind the last one: ``videos/{train,test}``, ``whitening/<features>``,
``features/<features>/{train,test}``, ``models/<row>``, ``evaluation/<row>``, and
``rows/<row>.json`` once a row is done.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession

from yt8m_spark.artifacts import load_json, save_json, staged_output
from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.evaluation_report import EvaluationReport, model_frequencies, save_evaluation
from yt8m_spark.formats.vocabulary import Vocabulary
from yt8m_spark.formats.vocabulary_details import VocabularyDetails
from yt8m_spark.network_config import NetworkConfig
from yt8m_spark.network_training import NetworkTask, train_network
from yt8m_spark.progress import part, watch
from yt8m_spark.spark.activations import export_activations, mark_activations
from yt8m_spark.spark.provenance import mark_features, origin_of
from yt8m_spark.spark.scoring import evaluate_model
from yt8m_spark.spark.scoring_input import read_scoring_input
from yt8m_spark.spark.tables import count_videos, read_table
from yt8m_spark.spark.training import Extras, TrainingData, prepare_shards, train_entities
from yt8m_spark.spark.video_tables import PlannedVideos, check_same_lists, plan_videos
from yt8m_spark.spark.whitening import normalize_videos
from yt8m_spark.tracking import TrackedRun
from yt8m_spark.training_metrics import follow_training, log_losses
from yt8m_spark.transfer_rows import TransferRow
from yt8m_spark.transfer_whitening import SourceWhitening, WhiteningChoice, lay_whitening

__all__ = ["Source", "Transfer", "TransferOptions"]

SPLITS = ("train", "test")


class Source(NamedTuple):
    """What was learned elsewhere."""

    whitenings: Mapping[str, SourceWhitening]  # by feature set
    network: str | None = None  # model folder


class TransferOptions(NamedTuple):
    """What all rows have in common."""

    features: tuple[str, ...] = ()  # feature lists; all there are if empty
    whitening: WhiteningChoice = WhiteningChoice()
    softmax: bool = False
    n_experts: int = 2
    training: TrainingOptions = TrainingOptions()
    shards: str = "float32"
    extras: Callable[[TrainingData], Extras] = lambda _: Extras()
    block_size: int | None = None
    names: Vocabulary | VocabularyDetails | None = None  # of the entities
    evaluation: EvaluationOptions = EvaluationOptions()
    networks: NetworkConfig = NetworkConfig()


class Transfer:
    """Makes rows in ``folder``, which all Spark tasks must see and which may hold some already."""

    def __init__(
        self,
        spark: SparkSession,
        folder: str,
        targets: Mapping[str, str],
        source: Source,
        options: TransferOptions,
    ) -> None:
        self._spark = spark
        self._folder = Path(folder)
        self._targets = targets  # "train" and "test"
        self._source = source
        self._options = options
        self._lists: list[str] = []

    def make_videos(self, rows: Sequence[TransferRow]) -> None:
        """Lay out the videos tables with all statistics that ``rows`` need.

        Raises
        ------
        InputError
            If a target cannot be read, has no frames and a row needs them, or the two have
            different features.
        """
        of_videos = [row.recipe.statistics for row in rows if not row.of_network]
        statistics = list(dict.fromkeys(chain.from_iterable(of_videos)))
        if not statistics:
            return
        planned = {split: self._plan(split, statistics) for split in SPLITS}
        self._lists = planned["train"].lists
        check_same_lists(planned, self._targets)
        for split, videos in planned.items():
            with self._stage("videos", split) as folder:
                if folder is not None:
                    total = count_videos(self._spark, self._targets[split])
                    with self._watch(f"{split}: video features", total) as heartbeats:
                        videos.write(folder, heartbeats)

    def done(self, row: TransferRow) -> dict[str, float] | None:
        """Metrics of ``row`` if it was made already."""
        path = self._folder / "rows" / f"{row.name}.json"
        return load_json(path) if path.exists() else None

    def make(self, row: TransferRow, tracked: TrackedRun) -> dict[str, float]:
        """Learn and evaluate ``row``, its figures by pass in ``tracked``; its metrics."""
        if row.way in ("scratch", "finetuned"):
            self._train_network(row, tracked)
        else:
            self._make_features(row)
            self._train_entities(row, tracked)
        report = self._evaluate(row)
        (self._folder / "rows").mkdir(exist_ok=True)
        save_json(self._folder / "rows" / f"{row.name}.json", report.metrics)
        shutil.rmtree(self._folder / "work" / row.name, ignore_errors=True)
        return report.metrics

    def path(self, *parts: str) -> str:
        """Where something stands."""
        return str(self._folder.joinpath(*parts))

    def _make_features(self, row: TransferRow) -> None:
        """Features tables of ``row``, unless rows before it have made them."""
        if row.of_network:
            for split in SPLITS:
                self._export(split)
            return
        columns = row.recipe.columns(self._lists)
        videos = {split: self._table("videos", split) for split in SPLITS}
        whitening = self.path("whitening", row.features)
        with self._stage("whitening", row.features) as folder:
            if folder is not None:
                source = self._source.whitenings.get(row.recipe.feature_set)
                with self._watch(f"whiten {row.features}", videos["train"].count()) as heartbeats:
                    lay_whitening(
                        folder,
                        self._options.whitening,
                        source,
                        own=(videos["train"], columns) if row.way == "own" else None,
                        work=self.path("work", "tiles"),
                        heartbeats=heartbeats,
                    )
        for split in SPLITS:
            with self._stage("features", row.features, split) as folder:
                if folder is not None:
                    label = f"{split}: {row.features}"
                    with self._watch(label, videos[split].count()) as heartbeats:
                        features = normalize_videos(videos[split], whitening, heartbeats=heartbeats)
                        features.write.parquet(folder)
                    mark_features(folder, whitening)

    def _export(self, split: str) -> None:
        """Features table of what the source's network sees (§5.4)."""
        model = str(self._source.network)
        with self._stage("features", "frozen", split) as folder:
            if folder is not None:
                frames = read_scoring_input(self._spark, self._targets[split], model)
                total = count_videos(self._spark, self._targets[split])
                with self._watch(f"{split}: activations", total) as heartbeats:
                    export_activations(frames, model, heartbeats=heartbeats).write.parquet(folder)
                mark_activations(folder, model, normalize=True)

    def _train_entities(self, row: TransferRow, tracked: TrackedRun) -> None:
        options = self._options
        loss = "logistic" if row.of_network else row.recipe.loss
        loss = "softmax" if options.softmax and loss == "logistic" else loss
        features, work = self.path("features", row.features, "train"), self.path("work", row.name)
        data = prepare_shards(
            read_table(self._spark, features),
            self.path("work", f"shards_{row.features}"),
            seed=options.training.seed,
            dtype=options.shards,
        )
        with self._stage("models", row.name) as folder:
            if folder is None:
                return
            with part(row.name), follow_training(tracked, work):
                trained = train_entities(
                    self._spark,
                    data,
                    work,
                    folder,
                    loss=loss,
                    n_experts=options.n_experts,
                    options=options.training,
                    # A softmax is one block of all entities, whatever those of mixtures are.
                    block_size=None if loss == "softmax" else options.block_size,
                    extras=options.extras(data),
                    description={"row": row.name, **origin_of(features)},
                )
            log_losses(tracked, folder)
        tracked.log_metrics({f"train_{name}": n for name, n in trained._asdict().items()})

    def _train_network(self, row: TransferRow, tracked: TrackedRun) -> None:
        initial = self._source.network if row.way == "finetuned" else None
        work = Path(self.path("work", row.name))
        work.mkdir(parents=True, exist_ok=True)
        task = NetworkTask(
            row.recipe.network,
            self._network_config(),
            self._targets["train"],
            initial_model=initial,
            resume=(work / "checkpoints").exists(),
        )
        with self._stage("models", row.name) as folder:
            if folder is not None:
                trained = train_network(self._spark, tracked, task, str(work), folder)
                tracked.log_metrics({f"train_{n}": v for n, v in trained.figures().items()})

    def _network_config(self) -> NetworkConfig:
        """Options of networks on the target: of the architecture of the source's, if it has one."""
        config = self._options.networks
        if self._options.softmax:
            config = replace(config, classifier="softmax")
        if self._source.network is None:
            return replace(config, features=config.features or self._options.features)
        from yt8m_spark.deep.model_files import read_options

        of_source = read_options(self._source.network)
        return replace(
            config,
            features=tuple(of_source.widths),
            normalize=of_source.normalize,
            units=of_source.n_units,
            pooling="max" if of_source.pooling == "max" else "average",
            hidden=of_source.n_hidden,
            layers=of_source.n_layers,
            cells=of_source.n_cells,
            horizon=of_source.horizon,
        )

    def _evaluate(self, row: TransferRow) -> EvaluationReport:
        model = self.path("models", row.name)
        if row.way in ("scratch", "finetuned"):
            test = read_scoring_input(self._spark, self._targets["test"], model)
            total = count_videos(self._spark, self._targets["test"])
        else:
            test = self._table("features", row.features, "test")
            total = test.count()
        with self._watch(f"evaluate {row.name}", total) as heartbeats:
            evaluation = evaluate_model(
                test, model, options=self._options.evaluation, heartbeats=heartbeats
            )
        folder = self.path("evaluation", row.name)
        shutil.rmtree(folder, ignore_errors=True)  # of a row that was stopped here
        return save_evaluation(
            folder, evaluation, self._options.names, frequencies=model_frequencies(model)
        )

    def _plan(self, split: str, statistics: Sequence[str]) -> PlannedVideos:
        return plan_videos(self._spark, self._targets[split], statistics, self._options.features)

    def _table(self, *parts: str) -> DataFrame:
        return read_table(self._spark, self.path(*parts))

    def _watch(self, label: str, total: int | None) -> AbstractContextManager[str]:
        """Progress bar of a stage whose tasks count ``total`` videos."""
        return watch(self.path("work", "heartbeats"), total, label)

    @contextmanager
    def _stage(self, *parts: str) -> Iterator[str | None]:
        """Folder to write a stage into, which appears whole at the end; None if it is there."""
        target = self.path(*parts)
        if Path(target).exists():
            yield None
            return
        with staged_output(target) as folder:
            yield folder
