"""Turn TFRecord shards into a frames or videos table.

reads    --input     glob of TFRecord shards, frame or video level
writes   --output    Parquet table: frames or videos
logs     n_videos

    spark-submit jobs/convert_tfrecords.py --input 'yt8m/video/train*.tfrecord' --output videos
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yt8m_spark.config import option
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.counted import counted_rows
from yt8m_spark.spark.source import read_shards
from yt8m_spark.spark.tables import count_videos, read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Turn TFRecord shards into a frames or videos table."""

    input: str = option("glob of TFRecord shards")
    level: Literal["auto", "frame", "video"] = option("what the records are", "auto")
    mode: Literal["failfast"] = option(
        "what to do with a bad record: stop at the first", "failfast"
    )
    vocabulary: str | None = option("CSV of the entities that labels may name", None)


def main(config: Config) -> JobResult:
    """Read, write, count."""
    with open_run("convert_tfrecords", config, [config.input, config.vocabulary]) as run:
        videos = read_shards(
            run.spark, config.input, level=config.level, vocabulary=config.vocabulary
        )
        total = count_videos(run.spark, config.input)
        with watch(run.heartbeats, total, "convert") as heartbeats:
            counted_rows(videos, heartbeats).write.mode("overwrite").parquet(run.folder)
        run.log_metrics({"n_videos": read_table(run.spark, run.folder).count()})
    return run.result({"table": config.output})


if __name__ == "__main__":
    run_job("convert_tfrecords", Config, main)
