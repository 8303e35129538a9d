"""Begin an extraction, or take one up: the plan, and the videos by their shards."""

from __future__ import annotations

import os
from dataclasses import replace

from pyspark.sql import SparkSession

from yt8m_spark.extraction_config import ExtractionConfig
from yt8m_spark.progress import step
from yt8m_spark.spark.extraction import count_laid_out, lay_out_videos
from yt8m_spark.spark.task_slots import task_slots
from yt8m_spark.spark.video_files import find_videos, with_labels
from yt8m_spark.video.decode import Sampling
from yt8m_spark.video.images import PRESETS
from yt8m_spark.video.network_files import network_digest
from yt8m_spark.video.plan import ExtractionPlan, has_plan, load_plan, load_tools, save_plan

__all__ = ["lay_out"]

# A shard of so many videos takes a task some ten minutes; and enough shards for all tasks.
_VIDEOS_A_SHARD = 128
_SHARDS_A_SLOT = 4


def lay_out(spark: SparkSession, config: ExtractionConfig, work: str) -> tuple[ExtractionPlan, int]:
    """Plan of the extraction in the folder ``work``, which is made unless it is there; V.

    The list of videos is made once, so that an extraction that is taken up ends as it would have.

    Raises
    ------
    InputError
        If the network or PCA cannot be used, or `find_videos` refuses the input.
    """
    if has_plan(work):
        return load_plan(work), count_laid_out(spark, work)
    plan = _plan_of(config)
    load_tools(plan)  # refuses a network before videos are looked for
    with step("list videos"):
        videos = find_videos(spark, config.input, work)
        if config.labels is not None:
            videos = with_labels(videos, config.labels)
        n_videos = videos.count()
        plan = replace(plan, n_shards=config.n_shards or _n_shards(spark, n_videos))
        lay_out_videos(videos, work, plan.n_shards)
    save_plan(work, plan)
    return plan, n_videos


def _n_shards(spark: SparkSession, n_videos: int) -> int:
    wanted = max(-(-n_videos // _VIDEOS_A_SHARD), _SHARDS_A_SLOT * task_slots(spark))
    return min(n_videos, wanted)


def _plan_of(config: ExtractionConfig) -> ExtractionPlan:
    """The plan, for one shard until the videos are counted."""
    return ExtractionPlan(
        network=os.path.abspath(config.network),
        network_digest=network_digest(config.network),
        layer=config.layer,
        layout=config.layout,
        threads=config.threads,
        batch_size=config.batch_size,
        how=PRESETS[config.preprocess]._replace(**config.changes()),
        sampling=Sampling(config.frames_per_second, config.max_seconds),
        pca=None if config.pca is None else os.path.abspath(config.pca),
        feature_name=config.feature_name,
        keep_damaged=config.damaged == "keep",
        n_shards=1,
    )
