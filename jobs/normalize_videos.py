"""Whiten video features and, if their whitening says so, make them of length 1 (paper §4.2.2).

reads    --input       videos table (or video-level TFRecord shards)
         --whitening   folder of fit_whitening
writes   --output      features table
logs     n_videos

    spark-submit jobs/normalize_videos.py --input videos --whitening whitening --output features
"""

from __future__ import annotations

from dataclasses import dataclass

from yt8m_spark.config import option
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.provenance import mark_features
from yt8m_spark.spark.tables import count_videos, read_input, read_table
from yt8m_spark.spark.whitening import normalize_videos


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Whiten and L2-normalise video features."""

    input: str = option("videos table, or glob of video-level TFRecord shards")
    whitening: str = option("folder of fit_whitening")
    vocabulary: str | None = option("CSV of the entities that labels may name", None)


def main(config: Config) -> JobResult:
    """Read, transform, write."""
    inputs = [config.input, config.whitening, config.vocabulary]
    with open_run("normalize_videos", config, inputs) as run:
        videos = read_input(run.spark, config.input, vocabulary=config.vocabulary)
        total = count_videos(run.spark, config.input)
        with watch(run.heartbeats, total, "normalise videos") as heartbeats:
            features = normalize_videos(videos, config.whitening, heartbeats=heartbeats)
            features.write.mode("overwrite").parquet(run.folder)
        mark_features(run.folder, config.whitening)
        run.log_metrics({"n_videos": read_table(run.spark, run.folder).count()})
    return run.result({"features": config.output})


if __name__ == "__main__":
    run_job("normalize_videos", Config, main)
