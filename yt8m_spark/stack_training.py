"""Trains the stages of a stack one after another, in a work folder that can be gone on from.

``parts/<name>`` holds what a training under way needs, ``models/<name>`` what it made, ``map`` and
``features`` what the second stage learns from. Each training is an MLflow run of its own, nested
in the job's. On storage there are, at most, the features of all videos once more as shards, and
those of the second stage twice (C wide, not E).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from yt8m_spark.config import describe_config
from yt8m_spark.core.entity_ids import parse_entities
from yt8m_spark.errors import InputError
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.progress import part as named
from yt8m_spark.progress import watch
from yt8m_spark.run import Run, child_run
from yt8m_spark.scorer import (
    FIRST,
    MAP,
    SECOND,
    check_model,
    entity_columns,
    is_network,
    is_stack,
    model_files,
    model_frames,
    read_description,
)
from yt8m_spark.spark.frame_sampling import frames_of
from yt8m_spark.spark.gathering import mean_losses
from yt8m_spark.spark.provenance import origin_of
from yt8m_spark.spark.scoring_input import read_scoring_input
from yt8m_spark.spark.stacking import ROOTS, fit_map, fold_column, unseen_scores
from yt8m_spark.spark.tables import read_codes, read_table
from yt8m_spark.spark.training import prepare_shards, train_entities
from yt8m_spark.spark.whitening import normalize_videos
from yt8m_spark.stack import describe_stack
from yt8m_spark.stack_config import StackConfig
from yt8m_spark.training_metrics import follow_training, log_losses
from yt8m_spark.whitening_files import load_whitening, save_whitening

__all__ = ["StackFigures", "check_first_stage", "train_stack"]

Ints = NDArray[np.int64]


class StackFigures(NamedTuple):
    """What came of a training."""

    n_entities: int  # of the first stage, and so of the model
    n_second: int  # of them, those with a second stage
    n_videos: int
    n_components: int
    explained_variance_ratio: float  # of the scores' roots, in [0, 1]
    first_loss: float  # mean of the last pass over the entities that were trained; NaN if given
    second_loss: float


def check_first_stage(first: str) -> None:
    """Refuse a model that cannot be the first stage of a stack.

    Raises
    ------
    InputError
        If it is none, or not one of train_entities on features of videos.
    """
    check_model(first)
    kinds = {"a network": is_network(first), "a stack": is_stack(first)}
    found = [kind for kind, is_it in kinds.items() if is_it]
    if not found and model_frames(first) is not None:
        found = ["a model of frames"]
    if found:
        expected = "a model of train_entities on features of videos"
        raise InputError(
            "model cannot be a first stage", where=first, expected=expected, found=found[0]
        )


def train_stack(run: Run, config: StackConfig, work: str) -> StackFigures:
    """Train both stages as ``config`` tells and lay the model in the folder of ``run``.

    Parts that ``work`` holds are not made again.

    Raises
    ------
    InputError
        If the input is no features table of videos, or as `train_entities`; or, with
        ``config.first``, if that cannot be a first stage or is of other features.
    """
    if frames_of(config.input) is not None:
        raise InputError(
            "stages are trained on videos", where=config.input, found="features of single frames"
        )
    stages = _Stages(run, config, Path(work))
    if config.first is None:
        first = stages.train(FIRST, stages.rows, config)
        unseen = [
            stages.train(f"fold-{k}", stages.rows.where(stages.fold != k), config, first)
            for k in range(config.n_folds)
        ]
    else:
        first = stages.take_first(config.first)
        unseen = [first]
    scores = unseen_scores(stages.features, unseen, seed=config.seed)
    between = stages.fit_map(scores, first)
    second = stages.train(SECOND, stages.mapped(scores, between), config.second, first)
    return stages.lay_out(first, between, second)


class _Stages:
    """Parts of a stack in a work folder, each made unless it is there."""

    def __init__(self, run: Run, config: StackConfig, work: Path) -> None:
        self._run, self._config, self._work = run, config, work.resolve()
        self.features = read_table(run.spark, config.input)
        # What shards are made of: codes stay what they are.
        codes = read_codes(run.spark, config.input) if config.shards == "uint8" else None
        self.rows, self._codebook = codes or (self.features, None)
        self.fold = fold_column(config.n_folds, config.seed)

    def take_first(self, first: str) -> str:
        """Copy of a first stage that is there already, for features of the same kind."""
        read_scoring_input(self._run.spark, self._config.input, first)
        model = self._work / "models" / FIRST
        if not (model / "model.json").exists():
            description, *others = model_files(first)
            (model / "entities").mkdir(parents=True, exist_ok=True)
            for path in others:
                shutil.copy2(path, model / "entities" / path.name)
            shutil.copy2(description, model / "model.json")  # last: it tells that all is there
        return str(model)

    def train(
        self, name: str, table: DataFrame, config: StackConfig, like: str | None = None
    ) -> str:
        """Model ``name`` of ``table``, for the entities of the model ``like`` if given."""
        model, part = (self._work / kind / name for kind in ("models", "parts"))
        if (model / "model.json").exists():
            return str(model)
        codebook = None if name == SECOND else self._codebook
        with child_run(self._run, config, name, describe_config(config)) as tracked:
            known = read_vocabulary(config.vocabulary).entities if config.vocabulary else None
            data = prepare_shards(
                table,
                str(part),
                seed=config.seed,
                dtype=config.shards,
                codebook=codebook,
                vocabulary=known,
            )
            entities = self._entities(like)
            if name == SECOND and entities is not None:
                entities = np.intersect1d(entities, data.entities)
            with named(name), follow_training(tracked, str(part)):
                trained = train_entities(
                    self._run.spark,
                    data,
                    str(part),
                    str(model),
                    loss=config.loss,
                    n_experts=config.n_experts,
                    options=config.training_options(),
                    entities=entities,
                    block_size=config.block_size,
                    extras=config.extras(data, entities),
                    description=self._origin(name),
                )
            tracked.log_metrics(trained._asdict())
            log_losses(tracked, str(model))
        shutil.rmtree(part)
        return str(model)

    def fit_map(self, scores: DataFrame, first: str) -> str:
        """Folder of the whitening between the stages."""
        folder, config = self._work / MAP, self._config
        n_components = min(config.n_components, int(read_description(first)["n_entities"]))
        if not (folder / "whitening.json").exists():
            tiles = str(self._work / "tiles")
            with self._watch("fit the map") as heartbeats:
                whitening = fit_map(
                    scores, n_components, ridge=config.ridge, work=tiles, heartbeats=heartbeats
                )
            save_whitening(str(folder), whitening, [ROOTS], [whitening.width])
        return str(folder)

    def mapped(self, scores: DataFrame, between: str) -> DataFrame:
        """Features table of the second stage, scored and mapped once."""
        folder = self._work / "features"
        if not (folder / "_SUCCESS").exists():
            with self._watch("map scores") as heartbeats:
                features = normalize_videos(scores, between, heartbeats=heartbeats)
                features.write.mode("overwrite").parquet(str(folder))
        return read_table(self._run.spark, str(folder))

    def lay_out(self, first: str, between: str, second: str) -> StackFigures:
        """Put the parts into the folder of the run and describe them."""
        config, folder = self._config, Path(self._run.folder)
        for part, name in ((first, FIRST), (between, MAP), (second, SECOND)):
            shutil.copytree(part, folder / name)
        told = {"first": config.first, "n_folds": None if config.first else config.n_folds}
        describe_stack(
            str(folder),
            weight=config.weight,
            description={"input": config.input, "stack": told},
        )
        check_model(str(folder))
        stages = [read_description(model) for model in (first, second)]
        whitening = load_whitening(between)[0]
        return StackFigures(
            n_entities=stages[0]["n_entities"],
            n_second=stages[1]["n_entities"],
            n_videos=stages[1]["n_videos"],
            n_components=whitening.n_components,
            explained_variance_ratio=whitening.explained_variance_ratio,
            first_loss=math.nan if config.first else _last_loss(first),
            second_loss=_last_loss(second),
        )

    def _entities(self, like: str | None) -> Ints | None:
        """Entities to train: those of the model ``like``, else those asked for, else all labels."""
        if like is not None:
            return np.sort(entity_columns(like, ["entity"]).column(0).to_numpy().astype(np.int64))
        asked = self._config.entities
        return None if asked is None else parse_entities(asked)

    def _origin(self, name: str) -> Mapping[str, object]:
        """What the model ``name`` must remember of what it learned from."""
        if name == SECOND:
            return {"whitening": load_whitening(str(self._work / MAP))[0].digest}
        return {"input": self._config.input, **origin_of(self._config.input)}

    def _watch(self, label: str) -> AbstractContextManager[str]:
        """Progress bar of a pass over the videos."""
        return watch(self._run.heartbeats, self.features.count(), label)


def _last_loss(model: str) -> float:
    return (mean_losses(model) or [math.nan])[-1]
