"""What every job opens: a Spark session, a tracked run and an output that appears whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

from pyspark.sql import SparkSession

from yt8m_spark.artifacts import check_output_free, staged_output
from yt8m_spark.config import describe_config, option
from yt8m_spark.datasets import describe_dataset
from yt8m_spark.environment import describe_environment, environment_tags
from yt8m_spark.formats.shards import match_shards
from yt8m_spark.job import JobResult
from yt8m_spark.session import spark_session
from yt8m_spark.tracking import TrackedRun, tracked_run

__all__ = ["JobConfig", "Run", "child_run", "open_run"]


@dataclass(frozen=True, kw_only=True)
class JobConfig:
    """Options of every job."""

    output: str = option("what to write; it appears whole or not at all")
    overwrite: bool = option("replace an output that exists", False)
    tracking_uri: str | None = option(
        "MLflow store (default: MLFLOW_TRACKING_URI or mlflow.db)", None
    )
    experiment: str = option("MLflow experiment", "yt8m_spark")


@dataclass(frozen=True)
class Run:
    """A job under way: write to ``folder``, which becomes the output when all went well.

    Tasks count what they have done in the folder ``heartbeats``, for `yt8m_spark.progress.watch`.
    """

    spark: SparkSession
    tracked: TrackedRun
    folder: str
    heartbeats: str
    metrics: dict[str, float] = field(default_factory=dict)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log figures to MLflow and keep them for the job's JSON line."""
        self.tracked.log_metrics(metrics)
        self.metrics.update(metrics)

    def result(self, outputs: Mapping[str, str]) -> JobResult:
        """Return the job's report, with ``outputs`` by name."""
        return JobResult(dict(outputs), dict(self.metrics), self.tracked.run_id)


def _check_inputs(inputs: Sequence[str]) -> None:
    """Refuse a local input that is not there, before a session takes its seconds to start."""
    if "SPARK_REMOTE" in os.environ:
        return  # files are where the server is
    for path in inputs:
        if not (Path(path).exists() or ":" in path.partition("/")[0]):
            match_shards(path)


@contextmanager
def open_run(job: str, config: JobConfig, inputs: Sequence[str | None] = ()) -> Iterator[Run]:
    """Open session, tracked run and staged output of ``job``; all end well or none does.

    ``inputs`` are the paths the job reads, which its output must not replace; None for one that
    is not given. The run names them as its data, and tells the environment. What MLflow does not
    take while the job is at work is kept in ``mlflow_pending`` beside the output.

    Raises
    ------
    InputError
        If the output exists and ``overwrite`` is not set, or would replace an input, or a local
        input is not there.
    """
    given = [path for path in inputs if path is not None]
    check_output_free(config.output, overwrite=config.overwrite, inputs=given)
    _check_inputs(given)
    with (
        spark_session(job) as spark,
        tracked_run(
            job,
            describe_config(config),
            uri=config.tracking_uri,
            experiment=config.experiment,
            pending=str(Path(config.output).resolve().parent / "mlflow_pending"),
        ) as tracked,
        staged_output(config.output, overwrite=config.overwrite) as folder,
    ):
        _describe(tracked, spark, job, config, given)
        heartbeats = f"{folder}.heartbeats"
        try:
            yield Run(spark, tracked, folder, heartbeats)
        finally:
            shutil.rmtree(heartbeats, ignore_errors=True)


def child_run(
    run: Run, config: JobConfig, name: str, params: Mapping[str, str]
) -> AbstractContextManager[TrackedRun]:
    """Open a run called ``name`` under that of the job: a recipe, a row, a setting, a stage."""
    return tracked_run(
        name,
        params,
        uri=config.tracking_uri,
        experiment=config.experiment,
        parent_run_id=run.tracked.run_id,
    )


def _describe(
    tracked: TrackedRun, spark: SparkSession, job: str, config: JobConfig, inputs: Sequence[str]
) -> None:
    """Log what the job reads, and with what it works."""
    named = {getattr(config, f.name): f.name for f in reversed(fields(config))}
    datasets = [describe_dataset(path, named.get(path, "input"), job) for path in inputs]
    if datasets:
        tracked.log_inputs(datasets)
    environment = describe_environment(spark)
    tracked.log_tags(environment_tags(environment))
    tracked.log_text(json.dumps(environment, indent=2), "environment.json")
