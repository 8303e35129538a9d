"""Score videos and keep the best entities of each.

reads    --model     model folder of train_entities or train_deep
         --input     features table; for a model of frames (§4.1.1, Eq. 1) or a network, a frames
                     table or a glob of frame-level TFRecord shards
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
from yt8m_spark.spark.scoring import predict
from yt8m_spark.spark.scoring_input import read_scoring_input
from yt8m_spark.spark.tables import count_videos, read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Score videos and keep the best entities of each."""

    model: str = option("model folder of train_entities or train_deep")
    input: str = option(
        "features table; frames table or shards for a model of frames, or a network"
    )
    calibration: str | None = option(
        "folder of fit_calibration on this model: scores become probabilities", None
    )
    top_k: int = option(
        "entities kept for each video; GAP@20 needs 20, mAP to the last digit all", 20
    )

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}")


def main(config: Config) -> JobResult:
    """Read, score, write."""
    with open_run("predict", config, [config.input, config.model, config.calibration]) as run:
        table = read_scoring_input(run.spark, config.input, config.model)
        total = count_videos(run.spark, config.input)
        with watch(run.heartbeats, total, "score videos") as heartbeats:
            predictions = predict(
                table,
                config.model,
                config.top_k,
                calibration=config.calibration,
                heartbeats=heartbeats,
            )
            predictions.write.mode("overwrite").parquet(run.folder)
        run.log_metrics({"n_videos": read_table(run.spark, run.folder).count()})
    return run.result({"predictions": config.output})


if __name__ == "__main__":
    run_job("predict", Config, main)
