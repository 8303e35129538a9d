"""Average the predictions of several models, from submissions or tables, into one table.

reads    --submissions   CSV files of write_submission or Kaggle, and predictions tables
         --labels        any table of the videos with their labels, for evaluate
writes   --output        predictions table, best first
logs     n_videos, weight_<position>

An entity that one of them does not list for a video counts 0 there. With one submission this is how
a CSV becomes a predictions table that evaluate takes.

    spark-submit jobs/average_submissions.py --submissions a.csv,b.csv.gz --weights 0.7,0.3 \
        --labels videos --output predictions
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from yt8m_spark.config import option
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import step
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.ensemble import average_predictions, with_labels
from yt8m_spark.spark.submissions import is_submission, read_submission
from yt8m_spark.spark.tables import read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Average the predictions of several models, from submissions or tables, into one table."""

    submissions: tuple[str, ...] = option("CSV files and predictions tables to average")
    weights: tuple[str, ...] = option("a weight each; default: all the same", ())
    labels: str | None = option("table of videos whose labels the result gets", None)
    top_k: int = option("entities kept for each video", 20)
    allow_missing: bool = option("let videos differ; one that is missing scores 0 there", False)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if len(set(self.submissions)) < max(len(self.submissions), 1):
            raise ValueError(f"submissions must be different files, got {self.submissions}")
        weights = self.shares()
        in_range = min(weights, default=0) >= 0 and 0 < sum(weights) < math.inf
        if len(weights) != len(self.submissions) or not in_range:
            expected = f"{len(self.submissions)} numbers of at least 0, of a finite sum above 0"
            raise ValueError(f"weights must be {expected}, got {','.join(self.weights)}")
        if self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}")

    def shares(self) -> list[float]:
        """Weights as numbers."""
        return [float(weight) for weight in self.weights or ("1",) * len(self.submissions)]


def main(config: Config) -> JobResult:
    """Read, average, write."""
    with open_run("average_submissions", config, [*config.submissions, config.labels]) as run:
        tables = {path: _read(run.spark, path) for path in config.submissions}
        allow_missing, shares = config.allow_missing, config.shares()
        with step("average predictions"):
            average = average_predictions(
                tables, shares, k=config.top_k, allow_missing=allow_missing
            )
            if config.labels is not None:
                labelled = read_table(run.spark, config.labels)
                average = with_labels(average, labelled, allow_missing=allow_missing)
            average.write.mode("overwrite").parquet(run.folder)
        weights = {f"weight_{i}": share / sum(shares) for i, share in enumerate(shares, start=1)}
        run.log_metrics({"n_videos": read_table(run.spark, run.folder).count(), **weights})
    return run.result({"predictions": config.output})


def _read(spark: SparkSession, path: str) -> DataFrame:
    return read_submission(spark, path) if is_submission(path) else read_table(spark, path)


if __name__ == "__main__":
    run_job("average_submissions", Config, main)
