"""What a job is to the shell: flags in, one JSON line and an exit status out."""

from __future__ import annotations

import json
import math
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pyspark.errors import AnalysisException, PySparkException

from yt8m_spark.config import load_config
from yt8m_spark.errors import InputError

__all__ = ["JobResult", "run_job", "user_error"]

Config = TypeVar("Config")

# An InputError raised in a Spark task reaches the driver as text inside a Java exception.
_IN_TASK = re.compile(r"yt8m_spark\.errors\.InputError: (.+)")
_WORKER_TRACE = re.compile(r"Traceback \(most recent call last\):.*?(?=\n\tat |\n\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class JobResult:
    """What a finished job reports: the paths it wrote, its figures, its MLflow run."""

    outputs: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)
    mlflow_run_id: str | None = None


def run_job(
    name: str,
    config_type: type[Config],
    main: Callable[[Config], JobResult],
    argv: Sequence[str] | None = None,
) -> None:
    """Run ``main`` on the options of the command line and leave by ``sys.exit``.

    The last line of stdout is the result as one JSON object. Exit status: 0 when the output is
    complete, 2 for input or options at fault (told in one line on stderr), 1 for a fault of ours.
    """
    try:
        config = load_config(config_type, sys.argv[1:] if argv is None else argv, job=name)
        result = main(config)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        sys.exit(_report(name, error))
    print(_json_line(name, result), flush=True)
    sys.exit(0)


def user_error(error: BaseException) -> str | None:
    """One line if ``error``, or what caused it, is an input at fault; else None."""
    if isinstance(error, InputError):
        return str(error)
    found = _IN_TASK.search(str(error)) if isinstance(error, PySparkException) else None
    if found:
        return found.group(1).strip()
    if isinstance(error, AnalysisException):
        # Path not found, no schema, no such column: Spark's own first line says it well.
        return re.sub(r"\s+SQLSTATE: \w+.*", "", str(error).splitlines()[0])
    return None


def _report(name: str, error: Exception) -> int:
    """Tell ``error`` on stderr and return the exit status."""
    line = user_error(error)
    if line is not None:
        print(f"{name}: error: {line}", file=sys.stderr)
        return 2
    in_worker = _WORKER_TRACE.search(str(error)) if isinstance(error, PySparkException) else None
    # A fault of ours: the Python side of the story, from the worker if it happened there.
    print(in_worker.group(0) if in_worker else traceback.format_exc(), file=sys.stderr)
    print(
        f"{name}: failed: {str(error).splitlines()[0] if str(error) else error!r}", file=sys.stderr
    )
    return 1


def _json_line(name: str, result: JobResult) -> str:
    # JSON has no NaN; a figure that could not be taken is null.
    metrics = {k: v if math.isfinite(v) else None for k, v in result.metrics.items()}
    return json.dumps(
        {
            "job": name,
            "outputs": result.outputs,
            "metrics": metrics,
            "mlflow_run_id": result.mlflow_run_id,
        }
    )
