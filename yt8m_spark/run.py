"""What every job opens: a Spark session, a tracked run and an output that appears whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from yt8m_spark import __version__
from yt8m_spark.artifacts import check_output_free, staged_output
from yt8m_spark.config import describe_config, option
from yt8m_spark.counters import Tally, sizes_of, tallied
from yt8m_spark.datasets import Described, describe_dataset
from yt8m_spark.environment import describe_environment, environment_tags
from yt8m_spark.errors import InputError
from yt8m_spark.events import emit, in_job, note
from yt8m_spark.formats.shards import match_shards
from yt8m_spark.job import JobResult
from yt8m_spark.plan import DryRun
from yt8m_spark.session import spark_session
from yt8m_spark.tracking import TrackedRun, tracked_run
from yt8m_spark.tracking_killed import end_killed

__all__ = ["JobConfig", "Run", "child_run", "observed", "open_run", "tracked_output"]


@dataclass(frozen=True, kw_only=True)
class JobConfig:
    """Options of every job."""

    output: str = option("what to write; it appears whole or not at all")
    overwrite: bool = option("replace an output that exists", False)
    tracking_uri: str | None = option(
        "MLflow store (default: MLFLOW_TRACKING_URI or mlflow.db)", None
    )
    experiment: str = option("MLflow experiment", "yt8m_spark")
    dry_run: bool = option("print plan, inputs, sizes, time and memory, and stop", False)


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
    tally: Tally = field(default_factory=Tally)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log figures to MLflow and keep them for the job's JSON line."""
        self.tracked.log_metrics(metrics)
        self.metrics.update(metrics)

    def result(self, outputs: Mapping[str, str]) -> JobResult:
        """Return the job's report, with ``outputs`` by name."""
        counters = self.tally.summary()
        return JobResult(dict(outputs), dict(self.metrics), self.tracked.run_id, counters)


def _check_inputs(inputs: Sequence[str]) -> None:
    """Refuse a local input that is not there, before a session takes its seconds to start."""
    if "" in inputs:  # as of a variable that is not set; a path of nothing is the working folder
        raise InputError("an input has no name", expected="a path", found="nothing")
    if os.environ.get("SPARK_REMOTE"):
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
    DryRun
        In place of all that, if ``config.dry_run`` is set and none of these is wrong.
    """
    given = [path for path in inputs if path is not None]
    check_output_free(config.output, overwrite=config.overwrite, inputs=given)
    _check_inputs(given)
    if config.dry_run:
        raise DryRun(config, given)
    with spark_session(job) as spark, tracked_output(job, config) as (tracked, folder):
        described = _describe(tracked, spark, job, config, given)
        with observed(job, config, tracked, described) as tally:
            tally.speculative = _is_speculative(spark)
            heartbeats = f"{folder}.heartbeats"
            try:
                yield Run(spark, tracked, folder, heartbeats, tally=tally)
            finally:
                shutil.rmtree(heartbeats, ignore_errors=True)
            tally.written = sizes_of([describe_dataset(folder, "output", job)])
    emit("output_written", {"path": config.output, **tally.written})


@contextmanager
def tracked_output(job: str, config: JobConfig) -> Iterator[tuple[TrackedRun, str]]:
    """Open tracked run and staged output of ``job`` alone, for one that needs no Spark."""
    with (
        tracked_run(
            job,
            describe_config(config),
            uri=config.tracking_uri,
            experiment=config.experiment,
            pending=str(Path(config.output).resolve().parent / "mlflow_pending"),
        ) as tracked,
        staged_output(
            config.output,
            overwrite=config.overwrite,
            run_id=tracked.run_id,
            killed=partial(_end_killed, tracked),
        ) as folder,
    ):
        yield tracked, folder


@contextmanager
def observed(
    job: str, config: JobConfig, tracked: TrackedRun, described: Sequence[Described] = ()
) -> Iterator[Tally]:
    """Let events of the body be of ``job`` and its run; count what it does and log the counters.

    ``described`` is what it reads. `open_run` does this itself.
    """
    with in_job(job, tracked.run_id), tallied() as tally:
        tally.read = sizes_of(described)
        emit("job_started", {"version": __version__, **_options_given(config)})
        try:
            yield tally
        except BaseException:
            with suppress(Exception):  # what went wrong is the error that counts
                tracked.log_metrics(tally.metrics())
            raise
        tracked.log_metrics(tally.metrics())


def _end_killed(tracked: TrackedRun, run_id: str) -> None:
    """Tell of a run whose process was killed, and mark it so in MLflow."""
    note(f"run {run_id} to this output was killed: what it left is removed")
    with suppress(Exception):  # of another store, or a server that is away
        end_killed(tracked.client, run_id)


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
) -> list[Described]:
    """Log what the job reads, which is given back, and with what it works."""
    named = {getattr(config, f.name): f.name for f in reversed(fields(config))}
    datasets = [describe_dataset(path, named.get(path, "input"), job) for path in inputs]
    if datasets:
        tracked.log_inputs(datasets)
    environment = describe_environment(spark)
    tracked.log_tags(environment_tags(environment))
    tracked.log_text(json.dumps(environment, indent=2), "environment.json")
    return datasets


def _options_given(config: JobConfig) -> dict[str, str]:
    """Options that are not what they are by default, for the event of the start."""
    named = describe_config(config)
    defaults = {f.name: f.default for f in fields(config)}
    changed = [n for n in named if defaults[n] is MISSING or getattr(config, n) != defaults[n]]
    return {f"option.{name}": named[name] for name in changed}


def _is_speculative(spark: SparkSession) -> bool:
    """Whether Spark runs copies of slow tasks; not, where it does not tell, as serverless."""
    try:
        return str(spark.conf.get("spark.speculation", "false")).lower() == "true"
    except PySparkException:
        return False
