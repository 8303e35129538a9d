"""Make features of what a network sees before it decides: its last layer but one (paper §5.4).

reads    --model     model folder of train_deep
         --input     frames table, or a glob of frame-level TFRecord shards
writes   --output    features table: video_id, labels, features
logs     n_videos, n_features

    spark-submit jobs/export_activations.py --model lstm --input frames --output features
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import functions as F

from yt8m_spark.config import option
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.activations import (
    check_has_activations,
    export_activations,
    mark_activations,
)
from yt8m_spark.spark.scoring_input import read_scoring_input
from yt8m_spark.spark.tables import count_videos, read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Make features of what a network sees before it decides."""

    model: str = option("model folder of train_deep")
    input: str = option("frames table or frame-level shards")
    normalize: bool = option("scale the vector of every video to length 1", True)


def main(config: Config) -> JobResult:
    """Read, compute, write."""
    with open_run("export_activations", config, [config.input, config.model]) as run:
        check_has_activations(config.model)
        table = read_scoring_input(run.spark, config.input, config.model)
        total = count_videos(run.spark, config.input)
        with watch(run.heartbeats, total, "export activations") as heartbeats:
            features = export_activations(
                table, config.model, normalize=config.normalize, heartbeats=heartbeats
            )
            features.write.mode("overwrite").parquet(run.folder)
        mark_activations(run.folder, config.model, normalize=config.normalize)
        made = read_table(run.spark, run.folder)
        width = made.select(F.size("features").alias("width")).first()
        n_features = 0 if width is None else width.width
        run.log_metrics({"n_videos": made.count(), "n_features": n_features})
    return run.result({"features": config.output})


if __name__ == "__main__":
    run_job("export_activations", Config, main)
