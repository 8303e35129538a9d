"""All steps of building a vocabulary, from tables to a folder (paper §3.1)."""

from __future__ import annotations

import shutil
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from yt8m_spark.core.type_tree import TypeTree
from yt8m_spark.errors import InputError
from yt8m_spark.formats.vocabulary import write_vocabulary_rows
from yt8m_spark.progress import step, watch
from yt8m_spark.spark.vocabulary_input import (
    Scores,
    Videos,
    count_topics,
    read_entities,
    read_scores,
    read_type_tree,
    read_videos,
    stored,
)
from yt8m_spark.spark.vocabulary_result import (
    VocabularyStatistics,
    kept_entities,
    require_entities,
    stage_counts,
    unknown_topics,
    vocabulary_rows,
    vocabulary_statistics,
    write_audit,
)
from yt8m_spark.spark.vocabulary_stages import (
    Limits,
    entity_facts,
    judge_entities,
    refuse_unknown_types,
    type_table,
)
from yt8m_spark.vocabulary_config import VocabularyConfig, listed_types
from yt8m_spark.vocabulary_report import InputCounts, list_warnings

__all__ = ["Built", "build_vocabulary"]


class Built(NamedTuple):
    """What there is to tell of a vocabulary that was written."""

    statistics: VocabularyStatistics
    counts: InputCounts
    warnings: list[str]  # of the lists of types


class _Types(NamedTuple):
    """The hierarchy and its lists."""

    tree: TypeTree
    table: DataFrame
    has_whitelist: bool
    warnings: list[str]


class _Inputs(NamedTuple):
    """What was read; its tables live in the work folder."""

    types: _Types
    entities: DataFrame
    scores: Scores | None
    videos: Videos
    topics: DataFrame


def build_vocabulary(
    spark: SparkSession, config: VocabularyConfig, folder: str, heartbeats: str
) -> Built:
    """Write ``vocabulary.csv``, ``entities/`` and ``audit/`` to ``folder``.

    Raises
    ------
    InputError
        If a table or a list is at fault, or no entity is left.
    """
    work = f"{folder}/.work"
    inputs = _read_inputs(spark, config, work, heartbeats)
    with step("judge entities"):
        scores = None if inputs.scores is None else inputs.scores.table
        facts = entity_facts(inputs.entities, inputs.types.table, scores, inputs.topics)
        judged = stored(judge_entities(facts, _limits(config, inputs)), f"{work}/judged")
        if config.unknown_types == "error":
            refuse_unknown_types(judged, config.entities)
        stages = stage_counts(judged)
        require_entities(stages, config.entities)
    with step("write the vocabulary"):
        kept = stored(kept_entities(judged), f"{folder}/entities")
        write_audit(judged, f"{folder}/audit")
        write_vocabulary_rows(f"{folder}/vocabulary.csv", vocabulary_rows(kept))
    with step("take statistics"):
        statistics = vocabulary_statistics(
            judged, kept, stages, max_visualness=config.max_visualness, n_top=config.n_top
        )
        counts = _input_counts(inputs)
    shutil.rmtree(work)
    return Built(statistics, counts, inputs.types.warnings)


def _read_inputs(
    spark: SparkSession, config: VocabularyConfig, work: str, heartbeats: str
) -> _Inputs:
    types = _read_types(spark, config)
    with step("read entities"):
        entities = read_entities(spark, config.entities, work, duplicates=config.duplicates)
    scores = None
    if config.ratings is not None:
        with step("read ratings"):
            scores = read_scores(spark, config.ratings, work)
    with step("read videos"):
        videos = read_videos(spark, config.videos)
    n_videos = videos.n_rows - videos.n_without_id
    with watch(heartbeats, n_videos, "count videos of topics") as watched:
        topics = count_topics(videos, work, watched)
    return _Inputs(types, entities, scores, videos, topics)


def _read_types(spark: SparkSession, config: VocabularyConfig) -> _Types:
    whitelist, blacklist = listed_types(config.whitelist), listed_types(config.blacklist)
    with step("read types"):
        tree = read_type_tree(spark, config.types)
    try:
        table = type_table(spark, tree, whitelist, blacklist)
    except ValueError as error:
        where = f"--whitelist or --blacklist, for {', '.join(config.types)}"
        raise InputError(str(error), where=where) from None
    return _Types(tree, table, bool(whitelist), list_warnings(tree, whitelist, blacklist))


def _limits(config: VocabularyConfig, inputs: _Inputs) -> Limits:
    return Limits(
        has_whitelist=inputs.types.has_whitelist,
        min_raters=None if inputs.scores is None else config.min_raters,
        max_visualness=config.max_visualness,
        min_videos=config.min_videos,
        unknown_types=config.unknown_types,
    )


def _input_counts(inputs: _Inputs) -> InputCounts:
    scores, videos = inputs.scores, inputs.videos
    topics = unknown_topics(inputs.topics, inputs.entities)
    return InputCounts(
        n_types=len(inputs.types.tree.parents),
        n_videos=videos.n_rows,
        n_videos_without_id=videos.n_without_id,
        n_videos_without_topics=videos.n_without_topics,
        n_repeated_entities=_repeated(inputs.entities),
        n_ratings=0 if scores is None else scores.n_ratings,
        n_repeated_ratings=0 if scores is None else scores.n_repeated,
        n_ratings_unknown=0 if scores is None else _unknown_ratings(scores, inputs.entities),
        n_topics=topics.n_topics,
        n_topics_unknown=topics.n_unknown,
        topics_unknown=topics.unknown,
    )


def _repeated(entities: DataFrame) -> int:
    """Rows of entities too many, where no row differs from another of its id."""
    row = entities.where(~F.col("is_conflict")).agg(F.sum(F.col("n_rows") - 1).alias("n")).collect()
    return int(row[0].n or 0)


def _unknown_ratings(scores: Scores, entities: DataFrame) -> int:
    """Ratings of ids that are no entity."""
    unknown = scores.table.join(entities, "entity", "left_anti")
    return int(unknown.agg(F.sum("n_raters").alias("n")).collect()[0].n or 0)
