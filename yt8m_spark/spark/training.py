"""Train one classifier for each entity: `core.training` spread over Spark tasks (paper §4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from yt8m_spark.core.block_width import block_width, cache_share
from yt8m_spark.core.label_noise import check_label_noise
from yt8m_spark.core.losses import LossFamily, check_tolerance, loss_family
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.errors import InputError
from yt8m_spark.progress import watch
from yt8m_spark.spark.gathering import check_extensible, gather_model, mean_losses
from yt8m_spark.spark.mapper import BLOCK_REPORT, train_blocks
from yt8m_spark.spark.plan import Plan, begun_block_size, block_is_done, read_plan, write_plan
from yt8m_spark.spark.task_slots import task_slots
from yt8m_spark.spark.training_data import TrainingData, prepare_shards

__all__ = [
    "Extras",
    "Trained",
    "TrainingData",
    "chosen_entities",
    "plan_of",
    "prepare_shards",
    "train_entities",
]


class Trained(NamedTuple):
    """What came of a training."""

    n_entities: int
    n_videos: int
    n_blocks: int
    n_without_positives: int  # rest on their prior
    mean_loss: float  # of the last pass, mean over the entities that were trained


class Extras(NamedTuple):
    """What a training may have beyond its hyper-parameters.

    Attributes
    ----------
    positive_weights : (E,) float32, optional
        What a positive video counts for each of the entities trained, ascending by id.
    label_recall, label_precision : (E,) float64, optional
        Of the labels of each of these entities, in (0, 1]; label noise "missing" needs them.
    initial_model : str, optional
        Folder of a model whose weights are the first ones.
    extends : str, optional
        Folder of a model whose other entities become part of this one, as they are.
    device : str
        Where tasks compute: see `devices.array_of`.
    cache : str, optional
        Folder on the local disk of each machine for copies of the shards.
    checkpoint_seconds : float
        A task that is lost loses at most so much work, and what a shard of videos takes.
    told : mapping
        How the arrays came about, for model.json.
    """

    positive_weights: NDArray[np.float32] | None = None
    label_recall: NDArray[np.float64] | None = None
    label_precision: NDArray[np.float64] | None = None
    initial_model: str | None = None
    extends: str | None = None
    device: str = "cpu"
    cache: str | None = None
    checkpoint_seconds: float = 60.0
    told: Mapping[str, str] = MappingProxyType({})


_NO_EXTRAS = Extras()


def train_entities(
    spark: SparkSession,
    data: TrainingData,
    work: str,
    model_folder: str,
    *,
    loss: str,
    n_experts: int = 2,
    options: TrainingOptions,
    entities: NDArray[np.int64] | None = None,
    block_size: int | None = None,
    extras: Extras = _NO_EXTRAS,
    description: Mapping[str, object] | None = None,
) -> Trained:
    """Train a classifier for every entity and write the model to ``model_folder``.

    One Spark task trains one block of entities over all training rows, which it streams from the
    shards. The result depends on neither the blocks nor the number of tasks, to float rounding
    (unless ``options.negative_rate`` is below 1, which looks at a block's labels).

    Parameters
    ----------
    data : TrainingData
        Of `prepare_shards`.
    work : str
        Folder that all tasks see. Its blocks are not trained again; begun ones are taken up.
    loss : str
        "logistic", "hinge", "moe" (of ``n_experts``), or "softmax": all entities in one block.
    entities : (E,) int64, optional
        Ids to train, ascending; default those that are a label of some training video.
    block_size : int, optional
        Entities a task; default what `core.block_width` finds for this machine's cache.
    extras : Extras
    description : mapping, optional
        More to keep in model.json.

    Raises
    ------
    ValueError
        If there is no such loss, ``block_size`` is below 1, softmax has a tolerance, or
        ``entities`` do not ascend: labels would be laid, silently, at the wrong entities.
    InputError
        If ``work`` holds blocks of another plan, none of ``entities`` is a label of any video, a
        model to begin with or to extend does not fit, or the loss has no such label noise; for
        softmax, if an entity is a label of no video, the block too small, or a model to extend.
    """
    family = loss_family(loss, n_experts)
    description = {**extras.told, **(description or {})}
    ids = chosen_entities(data, entities)
    if family.coupled:
        block_size = _check_coupled(family, data, ids, block_size, extras, options.tolerance)
    for folder in {extras.initial_model, extras.extends} - {None}:
        check_extensible(str(folder), family, data.shards.n_features, description)
    work = str(Path(work).resolve())  # tasks may run in another directory
    size = _block_size(spark, block_size, work, len(ids), data.shards.n_features, family.n_rows)
    plan = plan_of(data, loss, n_experts, options, ids, size, extras)
    _open_plan(work, plan)
    _run_blocks(spark, plan, data.shards.n_videos, work)
    n_entities = gather_model(work, model_folder, plan, data.shards, extras.extends, description)
    return _trained(plan, data, n_entities, model_folder)


def plan_of(
    data: TrainingData,
    loss: str,
    n_experts: int,
    options: TrainingOptions,
    entities: NDArray[np.int64],
    block_size: int,
    extras: Extras,
) -> Plan:
    """Plan of a training of ``entities`` on ``data``.

    Raises
    ------
    ValueError
        If the loss has no such label noise, or "missing" lacks a rate.
    """
    check_label_noise(loss, options.label_noise)
    initial, recall, precision = extras.initial_model, extras.label_recall, extras.label_precision
    if options.label_noise != "missing":
        recall = precision = None  # what has no say in the weights has none in the digest
    elif recall is None or precision is None:
        raise ValueError("label_noise missing needs label_recall and label_precision, got none")
    return Plan(
        loss=loss,
        n_experts=n_experts,
        options=options,
        entities=entities,
        n_positives=data.n_positives(entities),
        block_size=block_size,
        shards=data.shards.folder,
        shards_digest=data.shards.digest,
        cache=extras.cache,
        positive_weights=extras.positive_weights,
        label_recall=recall,
        label_precision=precision,
        initial_model=None if initial is None else str(Path(initial).resolve()),
        device=extras.device,
        checkpoint_seconds=extras.checkpoint_seconds,
    )


def _check_coupled(
    family: LossFamily,
    data: TrainingData,
    entities: NDArray[np.int64],
    block_size: int | None,
    extras: Extras,
    tolerance: float,
) -> int:
    """Block of a family whose entities are told from each other: all of them, in one task."""
    check_tolerance(family.name, tolerance)
    where = f"a training of {family.name}"
    if block_size is not None and block_size < len(entities):
        expected = f"none, or at least {len(entities)}: all entities in one block"
        raise InputError(
            "block_size is too small", where=where, expected=expected, found=block_size
        )
    if extras.extends:
        what = "entities cannot be added to a model later"
        raise InputError(what, where=where, expected="no model to extend", found=extras.extends)
    missing = entities[data.n_positives(entities) == 0]
    if len(missing):
        found = ", ".join(map(str, missing[:3]))
        raise InputError(
            f"{len(missing)} entities are a label of no video", where=where, found=found
        )
    return len(entities)


def _trained(plan: Plan, data: TrainingData, n_entities: int, model_folder: str) -> Trained:
    """Figures of the model in ``model_folder``."""
    without = int((plan.n_positives == 0).sum())
    mean_loss = (mean_losses(model_folder) or [float("nan")])[-1]
    return Trained(n_entities, data.shards.n_videos, plan.n_blocks, without, mean_loss)


def _block_size(
    spark: SparkSession, given: int | None, work: str, n_entities: int, n_features: int, n_rows: int
) -> int:
    if given is None:
        given = begun_block_size(work)
    if given is None:
        return block_width(n_entities, n_features, n_rows, task_slots(spark), cache_share())
    if given < 1:
        raise ValueError(f"block_size must be at least 1, got {given}")
    return given


def _open_plan(work: str, plan: Plan) -> None:
    """Write the plan; refuse blocks of another one, which would become part of this model."""
    blocks = sorted((Path(work) / "blocks").glob("*.parquet"))
    if blocks and read_plan(work).digest != plan.digest:
        raise InputError("blocks are of another training", where=work)
    write_plan(work, plan)


def _run_blocks(spark: SparkSession, plan: Plan, n_videos: int, work: str) -> None:
    """Train all blocks, a task each."""
    left = [n for n in range(plan.n_blocks) if not block_is_done(work, n)]
    total = len(left) * plan.options.n_epochs * n_videos
    label = f"train {plan.loss}, {len(plan.entities)} entities"
    if len(left) < plan.n_blocks:  # a stopped training has done the others
        label += f", {len(left)} of {plan.n_blocks} blocks left"
    with watch(str(Path(work) / "heartbeats"), total, label, " video passes"):
        numbers = spark.range(0, plan.n_blocks, 1, plan.n_blocks)
        numbers.mapInArrow(partial(train_blocks, work=work), BLOCK_REPORT).collect()


def chosen_entities(data: TrainingData, entities: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Entities to train: those asked for, or all that are a label.

    Raises
    ------
    ValueError
        If they do not ascend.
    InputError
        If none is a label of any video.
    """
    if entities is None:
        return data.entities
    if len(entities) == 0 or (np.diff(entities) <= 0).any():
        raise ValueError(f"entities must be at least one and ascend, got {entities}")
    if not data.n_positives(entities).any():
        raise InputError(
            "none of the entities to train is a label of any video",
            expected=f"some of the {len(data.entities)} from {data.entities[0]} "
            f"to {data.entities[-1]}",
            found=f"{entities[0]} to {entities[-1]}",
        )
    return entities
