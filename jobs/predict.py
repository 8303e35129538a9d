"""Score videos and keep the best entities of each.

reads    --model     model folder of train_entities
         --input     features table
writes   --output    predictions table, best first
logs     n_videos

    spark-submit jobs/predict.py --model model --input features --output predictions --top-k 20
"""

from __future__ import annotations

from dataclasses import dataclass

from yt8m_spark.config import option
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.provenance import check_same_whitening
from yt8m_spark.spark.scoring import predict
from yt8m_spark.spark.tables import read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Score videos and keep the best entities of each."""

    model: str = option("model folder of train_entities")
    input: str = option("features table")
    top_k: int = option(
        "entities kept for each video; GAP@20 needs 20, mAP to the last digit all", 20
    )

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}")


def main(config: Config) -> JobResult:
    """Read, score, write."""
    with open_run("predict", config, [config.input, config.model]) as run:
        check_same_whitening(config.input, config.model)
        features = read_table(run.spark, config.input)
        with watch(run.heartbeats, features.count(), "score videos") as heartbeats:
            predictions = predict(features, config.model, config.top_k, heartbeats=heartbeats)
            predictions.write.mode("overwrite").parquet(run.folder)
        run.log_metrics({"n_videos": read_table(run.spark, run.folder).count()})
    return run.result({"predictions": config.output})


if __name__ == "__main__":
    run_job("predict", Config, main)
