"""``--dry-run``: what a job would do, read and take, told without doing it.

A job runs as ever up to `yt8m_spark.run.open_run`, so that its options, inputs and output are
checked as ever; there `DryRun` takes the place of the session, the MLflow run and the output.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from yt8m_spark.events import note
from yt8m_spark.masking import masked

__all__ = ["DryRun", "Stage", "is_dry_run", "report_plan", "session_cores", "with_plan_of"]

_MIB = 1 << 20
# Who decides how many cores there are, where it is not this machine.
_ELSEWHERE = ("PYSPARK_GATEWAY_PORT", "SPARK_CONNECT_MODE_ENABLED", "DATABRICKS_RUNTIME_VERSION")


class DryRun(Exception):  # noqa: N818 - no error: what was asked for
    """Raised in place of opening a run, with what the job was given."""

    def __init__(self, config: Any, inputs: Sequence[str]) -> None:
        super().__init__("dry run")
        self.config = config
        self.inputs = list(inputs)


_dry: ContextVar[bool] = ContextVar("yt8m_spark_dry_run", default=False)


@contextmanager
def with_plan_of(config: Any) -> Iterator[None]:
    """Let the body know whether ``config`` asks for its plan alone."""
    token = _dry.set(bool(getattr(config, "dry_run", False)))
    try:
        yield
    finally:
        _dry.reset(token)


def is_dry_run() -> bool:
    """Whether the job at work must leave everything as it is."""
    return _dry.get()


class Stage(NamedTuple):
    """A stage of a job and what it is reckoned to take."""

    name: str
    core_seconds: float = 0.0  # of work that the cores of the session share
    driver_seconds: float = 0.0  # of what one process does
    task_bytes: float = 0.0  # that a task holds, beyond Python and its libraries
    driver_bytes: float = 0.0  # the same of the driver
    at_least: bool = False  # the model of this stage is reading its input, and no more

    def seconds(self, cores: int) -> float:
        """Seconds on so many cores."""
        return self.core_seconds / cores + self.driver_seconds


def report_plan(job: str, asked: DryRun) -> dict[str, float]:
    """Tell the plan of ``job`` on stderr; its figures for the JSON line.

    Raises
    ------
    InputError
        If an input is damaged.
    """
    # Only a dry run needs these.
    from yt8m_spark.plan_inputs import look_at
    from yt8m_spark.plan_rates import DRIVER_BYTES, TASK_BYTES, start_stage
    from yt8m_spark.plan_stages import stages_of

    named = {getattr(asked.config, f.name): f.name for f in reversed(fields(asked.config))}
    sources = [look_at(path, named.get(path, "input"), job) for path in asked.inputs]
    stages = [start_stage(), *stages_of(job, asked.config, sources)]
    cores, where = session_cores()
    task = TASK_BYTES + max(stage.task_bytes for stage in stages)
    driver = DRIVER_BYTES + max(stage.driver_bytes for stage in stages)
    data = [source for source in sources if source.is_data]
    known = [source.rows for source in data if source.rows is not None]
    figures = {
        "seconds": round(sum(stage.seconds(cores) for stage in stages), 1),
        "task_bytes": float(round(task)),
        "driver_bytes": float(round(driver)),
        "input_bytes": float(sum(source.n_bytes for source in sources)),
        "input_rows": float(sum(known)) if len(known) == len(data) else float("nan"),
    }
    at_least = any(stage.at_least for stage in stages)
    lines = [
        f"plan of {job}, a dry run: nothing is read through, nothing is written",
        *(f"  input   {_told(source)}" for source in sources),
        f"  output  {_output(asked.config)}",
        f"  session {where}",
        *(_stage_line(place, stage, cores) for place, stage in enumerate(stages, start=1)),
        f"  time    {'at least' if at_least else 'about'} {_time(figures['seconds'])}",
        f"  memory  about {task / _MIB:,.0f} MiB a task, {driver / _MIB:,.0f} MiB the driver",
    ]
    note("\n".join(lines), event="plan")
    return figures


def session_cores() -> tuple[int, str]:
    """Cores of the session that the job would open, and how to tell of it; 1 if not known."""
    remote = os.environ.get("SPARK_REMOTE") or _master_given()
    local = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\d+)?\])?", remote)
    if local is None and (remote or any(name in os.environ for name in _ELSEWHERE)):
        return 1, "of a cluster: times are for 1 core, divide them by its cores"
    given = local[1] if local else "*"
    cores = len(os.sched_getaffinity(0)) if given == "*" else max(1, int(given or 1))
    return cores, f"on this machine, {cores} core{'s' if cores > 1 else ''}"


def _master_given() -> str:
    """Master among the options for the JVM that `yt8m-spark` leaves; empty if there is none."""
    try:
        options = shlex.split(os.environ.get("PYSPARK_SUBMIT_ARGS", ""))
    except ValueError:
        return "of options that Spark will refuse"
    masters = [value for flag, value in pairwise(options) if flag == "--master"]
    for start in ("--master=", "spark.master=", "--conf=spark.master="):
        masters += [text.removeprefix(start) for text in options if text.startswith(start)]
    if not masters and "--properties-file" in options:
        return "of a file of settings"
    return "".join(masters[-1:])


def _output(config: Any) -> str:
    there = Path(config.output).exists()
    return masked(config.output) + (" (is there, would be replaced)" if there else " (free)")


def _told(source: Any) -> str:
    parts = [f"{source.n_files:,} files, {source.n_bytes / 1e6:,.1f} MB"]
    if source.rows is not None:
        parts.append(f"{'' if source.exact else 'about '}{source.rows:,} rows")
    if source.width:
        parts.append(f"{source.width:,} features")
    if source.n_entities:
        parts.append(f"about {source.n_entities:,} entities")
    return f"{masked(source.path)} (--{source.option.replace('_', '-')}): {', '.join(parts)}"


def _stage_line(place: int, stage: Stage, cores: int) -> str:
    at_least = ", at least" if stage.at_least else ""
    return f"  {place:2}. {stage.name:<40} {_time(stage.seconds(cores)):>9}{at_least}"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
