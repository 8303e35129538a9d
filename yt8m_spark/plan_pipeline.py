"""Stages of run_pipeline, recipe by recipe; what recipes share is made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yt8m_spark import plan_rates as rate
from yt8m_spark.core.block_width import STATE_MEMORY
from yt8m_spark.network_config import load_networks
from yt8m_spark.pipeline_whitening import reduced
from yt8m_spark.plan import Stage
from yt8m_spark.plan_inputs import Source, check_frames
from yt8m_spark.plan_networks import network_stages
from yt8m_spark.plan_rates import spark_stage
from yt8m_spark.plan_stages import (
    n_entities_of,
    n_vectors,
    normalize_stage,
    score_seconds,
    statistics_seconds,
    train_stages,
    whiten_stage,
)
from yt8m_spark.recipes import Recipe, parse_recipe

__all__ = ["recipe_stages", "with_lists"]


def recipe_stages(config: Any, train: Source, test: Source) -> list[Stage]:
    """All stages of the recipes of ``config`` on ``train`` and ``test``, in order.

    Raises
    ------
    InputError
        If a recipe needs frames and one of the two has none, or is to keep more components than
        there can be.
    """
    recipes = [parse_recipe(name) for name in dict.fromkeys(config.recipes)]
    train, test = (with_lists(source, config.features) for source in (train, test))
    if any(recipe.of_frames or recipe.methods for recipe in recipes):
        check_frames(train)
        check_frames(test)
    n_entities = n_entities_of(config, train)
    of_videos = [name for recipe in recipes if not recipe.of_frames for name in recipe.statistics]
    statistics = list(dict.fromkeys(of_videos)) or ["mean"]
    plan = [
        spark_stage(f"{split}: video features", statistics_seconds(source, statistics))
        for split, source in (("train", train), ("test", test))
    ]
    plan.append(spark_stage("evaluate the majority baseline", 0.0, n_stages=2))
    made: set[str] = set()
    for recipe in recipes:
        if recipe.network:
            networks = load_networks(config.networks)
            of_recipe = network_stages(recipe.network, networks, train, n_entities)
        else:
            of_recipe = [] if recipe.feature_set in made else _features(recipe, config, train, test)
            made.add(recipe.feature_set)
            of_recipe += _training(recipe, config, train, n_entities)
        of_recipe.append(_evaluation(recipe, config, test, n_entities))
        plan += [stage._replace(name=f"{recipe.name}: {stage.name}") for stage in of_recipe]
    return plan


def with_lists(source: Source, features: Sequence[str]) -> Source:
    """``source`` as if it had the feature lists ``features`` alone, if any are asked for."""
    kept = {
        name: width
        for name, width in source.widths.items()
        if name in features or name.partition("_")[2] in features  # mean_rgb of videos
    }
    return source._replace(widths=kept) if kept else source


def _width(recipe: Recipe, source: Source) -> int:
    return (source.width or 1152) * n_vectors(recipe.statistics)


def _features(recipe: Recipe, config: Any, train: Source, test: Source) -> list[Stage]:
    width = _width(recipe, train)
    if train.width and not recipe.of_frames and not recipe.methods:
        reduced(config.options().whitening, recipe, width, config.encoding_components)
    if recipe.of_frames:
        return [spark_stage("sample frames", train.n_bytes / rate.TFRECORD)]
    stages = []
    for split, source in (("train", train), ("test", test)):
        n_videos = source.rows or 1000
        read = 4 * n_videos * width / rate.PARQUET
        if split == "train":
            stages.append(whiten_stage(n_videos, width, read, STATE_MEMORY))
        named = normalize_stage(n_videos, width, read)
        stages.append(named._replace(name=f"{split}: {named.name}"))
    return stages


def _training(recipe: Recipe, config: Any, train: Source, n_entities: int) -> list[Stage]:
    n_rows = 2 * config.n_experts if recipe.loss == "moe" else 1
    n_examples = (train.rows or 1000) * (config.n_frames if recipe.of_frames else 1)
    return train_stages(
        n_examples, _width(recipe, train), n_entities, n_rows, config.epochs, name=recipe.loss
    )


def _evaluation(recipe: Recipe, config: Any, test: Source, n_entities: int) -> Stage:
    n_rows = 2 * config.n_experts if recipe.loss == "moe" else 1
    features = test._replace(widths={recipe.feature_set: _width(recipe, test)})
    if not recipe.of_frames:  # of features that have been laid out
        n_bytes = 4 * (test.rows or 1000) * features.width
        features = features._replace(n_bytes=n_bytes, of_shards=False)
    scores = float(test.rows or 1000) * n_entities
    seconds = score_seconds(features, n_entities, n_rows) + scores / rate.METRICS
    return spark_stage("evaluate", seconds, n_stages=3, at_least=recipe.of_frames)
