"""What a job is to the shell: flags in, one JSON line and an exit status out."""

from __future__ import annotations

import errno
import json
import logging
import math
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pyspark.errors import AnalysisException
from pyspark.logger import PySparkLogger

from yt8m_spark.config import load_config
from yt8m_spark.errors import InputError, RankError

__all__ = ["JobResult", "run_job", "user_error"]

Config = TypeVar("Config")

# An InputError raised in a Spark task reaches the driver as text inside a Java exception.
_IN_TASK = re.compile(r"yt8m_spark\.errors\.InputError: (.+)")
_UNREADABLE = re.compile(r"\[FAILED_READ_FILE[.\w]*\] (.+)")
# The file system's own word: a full or read-only disk, no permission, no folder, too long a name.
_STORAGE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)
_NUMBERS = "|".join(map(str, _STORAGE))
_STORAGE_IN_TASK = re.compile(
    r"(?:OSError|PermissionError|NotADirectoryError|IsADirectoryError|FileExistsError): "
    rf"(\[Errno (?:{_NUMBERS})\] .+)"
)
_CANCELLED = "SPARK_JOB_CANCELLED"
_WORKER_TRACE = re.compile(r"Traceback \(most recent call last\):.*?(?=\n\tat |\n\n|\Z)", re.DOTALL)
_JAVA_FRAME = re.compile(r"^\s+(at [\w.$/]+\(.*|\.\.\. \d+ more)\n?", re.MULTILINE)
_SQLSTATE = re.compile(r"\s*SQLSTATE: \w+.*")

# Where PySpark tells of each error on stderr as JSON with a page of Java in it; we tell it once.
_QUERY_LOGGERS = ("DataFrameQueryContextLogger", "SQLQueryContextLogger")


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
    for logger in _QUERY_LOGGERS:
        PySparkLogger.getLogger(logger).setLevel(logging.CRITICAL)
    _terminate_in_order()
    try:
        config = load_config(config_type, sys.argv[1:] if argv is None else argv, job=name)
        result = main(config)
    except KeyboardInterrupt:
        sys.exit(_interrupted(name))
    except Exception as error:
        # Spark answers Ctrl-C itself, by cancelling the job that Python waits for.
        stopped = _CANCELLED in str(error)
        sys.exit(_interrupted(name) if stopped else _report(name, error))
    print(_json_line(name, result), flush=True)
    sys.exit(0)


def user_error(error: BaseException) -> str | None:
    """One line if ``error``, or what caused it, is an input at fault; else None."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _STORAGE:
        return f"cannot write or read: {error}"
    in_storage = _STORAGE_IN_TASK.search(str(error))
    if in_storage:
        return f"cannot write or read: {in_storage.group(1)}"
    found = _IN_TASK.search(str(error)) or _UNREADABLE.search(str(error))
    if found:
        return _SQLSTATE.sub("", found.group(1)).strip()
    if isinstance(error, AnalysisException):
        # Path not found, no schema, no such column: Spark's own first line says it well.
        return _SQLSTATE.sub("", _first_line(error))
    return user_error(error.__cause__) if error.__cause__ else None


def _terminate_in_order() -> None:
    """Let SIGTERM unwind the job, so that its run is closed and its temporary files go."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def _interrupted(name: str) -> int:
    print(f"{name}: interrupted", file=sys.stderr)
    return 130


def _report(name: str, error: Exception) -> int:
    """Tell ``error`` on stderr and return the exit status."""
    line = user_error(error)
    if line is not None:
        print(f"{name}: error: {line}", file=sys.stderr)
        return 2
    if isinstance(error, RankError):  # a page of the driver's stack would tell no more
        print(f"{name}: failed: {error}", file=sys.stderr)
        return 1
    # A fault of ours: the Python side of the story, from the worker if it happened there.
    in_worker = _WORKER_TRACE.search(str(error))
    trace = in_worker.group(0) if in_worker else traceback.format_exc()
    print(_JAVA_FRAME.sub("", trace), file=sys.stderr)
    print(f"{name}: failed: {_first_line(error)}", file=sys.stderr)
    return 1


def _first_line(error: BaseException) -> str:
    """First line of ``error`` that is not empty, or its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else repr(error)


def _json_line(name: str, result: JobResult) -> str:
    # JSON has no NaN; a figure that could not be taken is null.
    metrics = {k: v if math.isfinite(v) else None for k, v in result.metrics.items()}
    return json.dumps(
        {
            "job": name,
            "outputs": result.outputs,
            "metrics": metrics,
            "mlflow_run_id": result.mlflow_run_id,
        },
        default=float,  # NumPy's numbers
    )
