"""An evaluation in MLflow."""

from __future__ import annotations

from yt8m_spark.evaluation_report import EvaluationReport
from yt8m_spark.tracking import TrackedRun

__all__ = ["log_evaluation"]


def log_evaluation(tracked: TrackedRun, report: EvaluationReport, folder: str) -> None:
    """Log the figures of an evaluation, its table of entities and the files of its ``folder``."""
    tracked.log_metrics(report.metrics)
    tracked.log_table(report.per_entity.to_pandas(), "per_entity.json")
    tracked.log_contents(folder, "evaluation")
