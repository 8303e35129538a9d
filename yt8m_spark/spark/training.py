"""Train one classifier for each entity: `core.training` spread over Spark tasks (paper §4.3)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyspark
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from yt8m_spark import __version__
from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.training import TrainingOptions
from yt8m_spark.errors import InputError
from yt8m_spark.progress import watch
from yt8m_spark.spark.mapper import (
    BLOCK_REPORT,
    Plan,
    block_file,
    describe_plan,
    train_blocks,
    write_plan,
)
from yt8m_spark.spark.shards import ShardSet, label_counts, open_shards, write_shards

__all__ = ["Trained", "prepare_shards", "train_entities"]


class Trained(NamedTuple):
    """What came of a training."""

    n_entities: int
    n_videos: int
    n_blocks: int
    mean_loss: float  # of the last pass, mean over entities; NaN if all blocks were there already


class TrainingData(NamedTuple):
    """Shards of a features table, and how often each entity is a label in it."""

    shards: ShardSet
    entities: NDArray[np.int64]
    counts: NDArray[np.int64]


def prepare_shards(features: DataFrame, work: str) -> TrainingData:
    """Lay ``features`` out in ``work`` for any number of trainings; left alone if there already.

    Raises
    ------
    InputError
        If the table has the wrong schema, or no video has a label.
    """
    work = str(Path(work).resolve())
    described = Path(work) / "labels.json"
    if not described.exists():
        write_shards(features, str(Path(work) / "shards"))
        entities, counts = label_counts(features)
        if len(entities) == 0:
            raise InputError("no video has a label", where="features table")
        if entities[0] < 0:
            where = "features table, column 'labels'"
            raise InputError(
                "label out of range", where=where, expected="0 or more", found=entities[0]
            )
        save_json(described, {"entities": entities.tolist(), "counts": counts.tolist()})
    labels = load_json(described)
    return TrainingData(
        open_shards(str(Path(work) / "shards")),
        np.array(labels["entities"], dtype=np.int64),
        np.array(labels["counts"], dtype=np.int64),
    )


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
    description: Mapping[str, object] | None = None,
) -> Trained:
    """Train a one-vs-all classifier for every entity and write the model to ``model_folder``.

    One Spark task trains one block of entities over all training rows, which it streams from the
    shards. The result depends on neither the blocks nor the number of tasks, to float rounding.

    Parameters
    ----------
    data : TrainingData
        Of `prepare_shards`.
    work : str
        Folder on storage that all tasks see. Blocks that it holds are not trained again.
    loss : str
        "logistic", "hinge" or "moe", this with ``n_experts`` experts.
    entities : (E,) int64, optional
        Ids to train, ascending; default those that are a label of some training video.
    block_size : int, optional
        Entities a task; default a sixteenth of them, 16 at least and 256 at most: larger ones
        leave the cache, smaller ones waste the matrix product.
    description : mapping, optional
        More to keep in model.json.

    Raises
    ------
    ValueError
        If there is no such loss, ``block_size`` is below 1 or ``entities`` do not ascend: labels
        would be laid, silently, at the wrong entities.
    InputError
        If ``work`` holds blocks of a training with another plan, or none of ``entities`` is a
        label of any training video.
    """
    loss_family(loss, n_experts)
    ids, counts = _chosen(data, entities)
    size = int(np.clip(-(-len(ids) // 16), 16, 256)) if block_size is None else block_size
    if size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}")
    work = str(Path(work).resolve())  # tasks may run in another directory
    plan = Plan(loss, n_experts, options, ids, counts, size, data.shards.folder)
    _open_plan(work, plan)
    mean_loss = _run_blocks(spark, plan, data.shards.n_videos, work)
    _gather_model(work, model_folder, plan, data.shards, description or {})
    return Trained(len(ids), data.shards.n_videos, plan.n_blocks, mean_loss)


def _open_plan(work: str, plan: Plan) -> None:
    """Write the plan; refuse blocks of another one, which would become part of this model."""
    blocks = sorted((Path(work) / "blocks").glob("*.parquet"))
    if blocks and load_json(Path(work) / "plan.json") != describe_plan(plan):
        raise InputError("blocks are of another training", where=work)
    write_plan(work, plan)


def _run_blocks(spark: SparkSession, plan: Plan, n_videos: int, work: str) -> float:
    """Train all blocks, a task each; mean loss of the last pass over the entities."""
    left = [n for n in range(plan.n_blocks) if not block_file(work, n).exists()]
    total = len(left) * plan.options.n_epochs * n_videos
    label = f"train {plan.loss}, {len(plan.entities)} entities"
    with watch(str(Path(work) / "heartbeats"), total, label, " video passes"):
        numbers = spark.range(0, plan.n_blocks, 1, plan.n_blocks)
        reports = numbers.mapInArrow(partial(train_blocks, work=work), BLOCK_REPORT).toPandas()
    if reports.empty:
        return float("nan")
    return float(np.average(reports["mean_loss"], weights=reports["n_entities"]))


def _chosen(
    data: TrainingData, entities: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entities to train and of how many videos each is a label."""
    if entities is None:
        return data.entities, data.counts
    if len(entities) == 0 or (np.diff(entities) <= 0).any():
        raise ValueError(f"entities must be at least one and ascend, got {entities}")
    counts = dict(zip(data.entities.tolist(), data.counts.tolist(), strict=True))
    chosen = np.array([counts.get(e, 0) for e in entities.tolist()], dtype=np.int64)
    if not chosen.any():
        expected = (
            f"some of the {len(data.entities)} from {data.entities[0]} to {data.entities[-1]}"
        )
        found = f"{entities[0]} to {entities[-1]}"
        what = "none of the entities to train is a label of any video"
        raise InputError(what, expected=expected, found=found)
    return entities, chosen


def _link(source: Path, folder: Path) -> None:
    """Put ``source`` in ``folder`` too; it stays, for --resume, should anything fail from here."""
    try:
        os.link(source, folder / source.name)
    except OSError:  # a file system without links
        shutil.copy2(source, folder / source.name)


def _gather_model(
    work: str, folder: str, plan: Plan, shards: ShardSet, description: Mapping[str, object]
) -> None:
    """Lay the trained blocks in the model's folder and describe them."""
    target = Path(folder) / "entities"
    target.mkdir(parents=True, exist_ok=True)
    for number in range(plan.n_blocks):
        _link(block_file(work, number), target)
    described = {
        "loss": plan.loss,
        "n_experts": plan.n_experts,
        "n_features": shards.n_features,
        "n_entities": len(plan.entities),
        "n_videos": shards.n_videos,
        "options": plan.options.__dict__,
        "versions": {
            "yt8m_spark": __version__,
            "pyspark": pyspark.__version__,
            "numpy": np.__version__,
        },
        **description,
    }
    save_json(Path(folder) / "model.json", described)
