"""Search for hyper-parameters: `core.search` spread over Spark tasks (paper §4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from yt8m_spark.core.block_width import STATE_MEMORY, block_width, cache_share, state_bytes
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.search import Choice, Setting, choose
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.core.validation import validation_bytes
from yt8m_spark.errors import InputError
from yt8m_spark.progress import watch
from yt8m_spark.spark.gathering import gather_model
from yt8m_spark.spark.plan import Plan, begun_block_size, block_is_done
from yt8m_spark.spark.search_figures import (
    SettingFigures,
    describe_choice,
    read_figures,
    save_figures,
)
from yt8m_spark.spark.search_mapper import SEARCHED_BLOCK, search_blocks
from yt8m_spark.spark.search_plan import SearchPlan, open_search_plan, setting_folder
from yt8m_spark.spark.search_rows import chosen_folder, lay_blocks, save_choice
from yt8m_spark.spark.shards import ShardSet
from yt8m_spark.spark.task_slots import task_slots
from yt8m_spark.spark.training import Extras, chosen_entities, plan_of
from yt8m_spark.spark.training_data import TrainingData, prepare_shards

__all__ = ["Searched", "SettingFigures", "prepare_validation", "search_entities"]

_NO_EXTRAS = Extras()


class Searched(NamedTuple):
    """What came of a search."""

    n_entities: int
    n_videos: int
    n_validation_videos: int
    n_blocks: int
    # Of the model, each entity with its own setting. Chosen by entity they flatter: each is the
    # best of several on the very videos that it was chosen by.
    validation_map: float
    validation_loss: float
    overall: int  # the setting that is best on the whole
    settings: tuple[SettingFigures, ...]

    def figures(self) -> dict[str, float]:
        """Counts and means of the model, by name, and of the setting that is best on the whole."""
        best = self.settings[self.overall]
        own = {name: getattr(self, name) for name in self._fields[:6]}
        of_best = {
            "overall_validation_map": best.validation_map,
            "overall_validation_loss": best.validation_loss,
        }
        return own | of_best | {"n_settings": len(self.settings), "overall_setting": self.overall}


def prepare_validation(
    features: DataFrame, validation: DataFrame, work: str, *, where: str
) -> TrainingData:
    """Lay the validation split out as shards in ``work``, after a look at one row of each table.

    Parameters
    ----------
    features, validation : DataFrame
        Features tables to learn from and to judge by, features as floats.
    work : str
        Folder that all tasks see.
    where : str
        The validation table, for messages.

    Raises
    ------
    InputError
        If the validation split is empty or has no label, its features are of another width, or
        its rows are frames and those of ``features`` are not.
    """
    if ("frame" in features.columns) != ("frame" in validation.columns):
        kinds = ["frames" if "frame" in t.columns else "videos" for t in (features, validation)]
        raise InputError("not rows like those to learn from", where=where, expected=kinds[0])
    widths = [_width(table) for table in (features, validation)]
    if widths[1] is None:
        raise InputError("validation split is empty", where=where, expected="videos with labels")
    if widths[0] is not None and widths[0] != widths[1]:
        raise InputError(
            "features are of another width than those to learn from",
            where=where,
            expected=widths[0],
            found=widths[1],
        )
    if validation.where(F.size("labels") > 0).first() is None:
        raise InputError("no validation video has a label", where=where)
    return prepare_shards(validation, str(Path(work) / "validation"))


def search_entities(
    spark: SparkSession,
    data: TrainingData,
    validation: TrainingData,
    work: str,
    model_folder: str,
    *,
    loss: str,
    settings: Sequence[Setting],
    options: TrainingOptions,
    by: Literal["entity", "overall"] = "overall",
    metric: Literal["map", "loss"] = "map",
    entities: NDArray[np.int64] | None = None,
    block_size: int | None = None,
    extras: Extras = _NO_EXTRAS,
    description: Mapping[str, object] | None = None,
) -> Searched:
    """Train every entity with every setting, keep the best, and write the model they make.

    One Spark task trains one block of entities with all settings in one pass over the shards. The
    model folder gets ``search.parquet``, a row an entity and setting, and ``search.json`` besides;
    its mixtures all have the largest H chosen, with experts that no gate opens to where an
    entity's own H is smaller.

    Parameters
    ----------
    data, validation : TrainingData
        Of `prepare_shards` and `prepare_validation`.
    work : str
        Folder on storage that all tasks see. Blocks that it holds are not searched again, and
        those that were begun are taken up where they were.
    loss : str
        "logistic", "hinge" or "moe".
    settings : sequence of Setting
        S of them, different. A task holds the state of S trainings of its block.
    options : TrainingOptions
        All else; what a setting names is not looked at.
    by, metric
        Of `core.search.choose`.
    entities, block_size, description
        Of `train_entities`.
    extras : Extras
        Of `train_entities`; a search begins with no model and extends none.

    Raises
    ------
    ValueError
        If there are no settings, one twice, or one out of range; or as `train_entities`.
    InputError
        If no validation video has a label of the entities, widths differ, ``work`` holds blocks of
        another search, or training diverged with every setting.

    Notes
    -----
    The driver receives the figures, 40 bytes an entity and setting.
    """
    if not settings or len(set(settings)) < len(settings):
        raise ValueError(f"settings must be at least one and differ, got {list(settings)}")
    if extras.initial_model or extras.extends:
        raise ValueError("a search neither begins with a model nor extends one")
    ids = chosen_entities(data, entities)
    _check_validation(data, validation, ids)
    work = str(Path(work).resolve())  # tasks may run in another directory
    size = block_size or begun_block_size(setting_folder(work, 0))
    size = size or _block_size(spark, loss, settings, len(ids), data.shards.n_features)
    base = plan_of(data, loss, settings[0].n_experts, options, ids, size, extras)
    search = SearchPlan(tuple(settings), validation.shards.folder, validation.shards.digest)
    plans = open_search_plan(work, base, search)
    n_videos = data.shards.n_videos, validation.shards.n_videos
    _run_blocks(spark, base, len(settings), n_videos, work)
    figures = read_figures(work, base.n_blocks, len(settings))
    choice = choose(*figures, by=by, metric=metric)
    told = {"choose": by, "metric": metric, **describe_choice(settings, choice)}
    described = {**extras.told, **(description or {}), "search": told}
    _lay_model(spark, plans, choice, data.shards, work, model_folder, described)
    of_settings = figures.of_settings(settings, choice)
    searched = Searched(
        len(ids),
        *n_videos,
        base.n_blocks,
        figures.mean_precision(choice.of_entity),
        figures.mean_loss(choice.of_entity),
        choice.overall,
        tuple(of_settings),
    )
    told |= searched.figures()
    save_figures(model_folder, ids, of_settings, figures, choice, told)
    return searched


def _width(table: DataFrame) -> int | None:
    known = table.where("features is not null")
    row = known.select(F.size("features").alias("width")).first()
    return None if row is None else int(row["width"])


def _check_validation(
    data: TrainingData, validation: TrainingData, entities: NDArray[np.int64]
) -> None:
    if validation.shards.n_features != data.shards.n_features:
        raise InputError(
            "validation features are of another width than those to learn from",
            expected=data.shards.n_features,
            found=validation.shards.n_features,
        )
    if not validation.n_positives(entities).any():
        raise InputError(
            "no validation video has a label of the entities to train",
            expected=f"some of {len(entities)} from {entities[0]} to {entities[-1]}",
            found=f"{len(validation.entities)} others",
        )


def _block_size(
    spark: SparkSession, loss: str, settings: Sequence[Setting], n_entities: int, n_features: int
) -> int:
    """Entities of a block: by cache for one setting, which learn in turn, by memory for all."""
    slots = task_slots(spark)
    rows = [loss_family(loss, setting.n_experts).n_rows for setting in settings]
    width = block_width(n_entities, n_features, max(rows), slots, cache_share())
    entity = sum(max(f(n_features, r, 1) for f in (state_bytes, validation_bytes)) for r in rows)
    widest = max(STATE_MEMORY // entity, 1)
    if width <= widest:
        return width
    waves = -(-n_entities // (widest * slots))
    return -(-n_entities // (waves * slots))


def _run_blocks(
    spark: SparkSession, plan: Plan, n_settings: int, n_videos: tuple[int, int], work: str
) -> None:
    """Train and judge all blocks, a task each."""
    left = [n for n in range(plan.n_blocks) if not block_is_done(work, n)]
    train, validate = n_videos
    total = len(left) * n_settings * (plan.options.n_epochs * train + validate)
    label = f"search {plan.loss}, {len(plan.entities)} entities, {n_settings} settings"
    with watch(str(Path(work) / "heartbeats"), total, label, " video passes"):
        numbers = spark.range(0, plan.n_blocks, 1, plan.n_blocks)
        numbers.mapInArrow(partial(search_blocks, work=work), SEARCHED_BLOCK).toPandas()


def _lay_model(
    spark: SparkSession,
    plans: Sequence[Plan],
    choice: Choice,
    shards: ShardSet,
    work: str,
    folder: str,
    description: Mapping[str, object],
) -> None:
    """Make the model of what was chosen; one setting's blocks are a model's as they are."""
    taken = np.unique(choice.of_entity).tolist()
    plan = plans[choice.overall]._replace(n_experts=max(plans[s].n_experts for s in taken))
    rows = setting_folder(work, taken[0])
    if len(taken) > 1:
        save_choice(work, choice.of_entity)
        rows = chosen_folder(work)
        numbers = spark.range(0, plan.n_blocks, 1, plan.n_blocks)
        numbers.mapInArrow(partial(lay_blocks, work=work), SEARCHED_BLOCK).toPandas()
    else:
        plan = plans[taken[0]]
    gather_model(rows, folder, plan, shards, None, description)
