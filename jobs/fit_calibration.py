"""Fit maps from a model's scores to probabilities, an entity at a time.

reads    --model       model folder of train_entities or train_deep
         --input       features table of the Validate split (for a model of frames, §4.1.1, a frames
                       table or a glob of frame-level TFRecord shards); not what it was trained on
writes   --output      folder: calibration.npz, calibration.json
logs     n_videos, n_entities, n_pooled, loss and calibrated_loss (mean log-loss on --input, which
         the maps were fitted on: evaluate tells it of other videos)

    spark-submit jobs/fit_calibration.py --model model --input validate --output calibration
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yt8m_spark.calibration import save_calibration
from yt8m_spark.config import option
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.calibration import fit_calibration
from yt8m_spark.spark.scoring_input import read_scoring_input
from yt8m_spark.spark.tables import count_videos


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Fit maps from a model's scores to probabilities, an entity at a time."""

    model: str = option("model folder of train_entities or train_deep")
    input: str = option("labelled features table that the model was not trained on")
    method: Literal["platt", "isotonic"] = option(
        "a sigmoid of the log-odds, or the best function that never descends", "platt"
    )
    min_positives: int = option("entities with fewer videos share one map; ours", 10)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.min_positives < 1:
            raise ValueError(f"min_positives must be at least 1, got {self.min_positives}")


def main(config: Config) -> JobResult:
    """Score, fit, save."""
    with open_run("fit_calibration", config, [config.input, config.model]) as run:
        table = read_scoring_input(run.spark, config.input, config.model)
        total = count_videos(run.spark, config.input)
        with watch(run.heartbeats, total, "fit calibration") as heartbeats:
            fitted = fit_calibration(
                table,
                config.model,
                method=config.method,
                min_positives=config.min_positives,
                heartbeats=heartbeats,
            )
        save_calibration(run.folder, fitted.calibration, config.model, config.min_positives)
        run.log_metrics(
            {
                "n_videos": fitted.n_videos,
                "n_entities": len(fitted.calibration.entities),
                "n_pooled": fitted.calibration.n_pooled,
                "loss": fitted.loss,
                "calibrated_loss": fitted.calibrated_loss,
            }
        )
    return run.result({"calibration": config.output})


if __name__ == "__main__":
    run_job("fit_calibration", Config, main)
