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
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TypeVar

from pyspark.errors import AnalysisException
from pyspark.logger import PySparkLogger

from yt8m_spark.config import load_config
from yt8m_spark.errors import InputError, RankError
from yt8m_spark.events import emit, has_begun, reporting
from yt8m_spark.masking import masked
from yt8m_spark.plan import DryRun, report_plan, with_plan_of
from yt8m_spark.streams import open_streams, print_result

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
# What NumPy says of a write that ended early: not why, but there is hardly another reason.
_CUT_SHORT = re.compile(r"\d+ requested and \d+ written")
# Spark's own readers and writers say it in Java.
_STORAGE_IN_JAVA = re.compile(
    r"(?:(?:java\.n?io\.[\w.$]*Exception|org\.apache\.hadoop\.fs\.FSError): )+([^\n]*"
    r"(?:No space left on device|Disk quota exceeded|Read-only file system|Permission denied"
    r"|Mkdirs failed to create)[^\n]*)"
)
_CANCELLED = "SPARK_JOB_CANCELLED"
# What is said of the JVM beside this Python when it was told to end, or killed.
_ENDED = re.compile(r"SparkContext was shut down|Answer from Java side is empty")
_ENDED_LINE = "Spark has ended: its JVM was told to, or killed"
_CALLING = "An error occurred while calling "  # a method by its number; what went wrong comes next
_WORKER_TRACE = re.compile(r"Traceback \(most recent call last\):.*?(?=\n\tat |\n\n|\Z)", re.DOTALL)
_JAVA_FRAME = re.compile(r"^\s+(at [\w.$/]+\(.*|\.\.\. \d+ more)\n?", re.MULTILINE)
_SQLSTATE = re.compile(r"\s*SQLSTATE: \w+.*")

# Where PySpark tells of each error on stderr as JSON with a page of Java in it; we tell it once.
_QUERY_LOGGERS = ("DataFrameQueryContextLogger", "SQLQueryContextLogger")


_is_terminated = False  # whether this process was told to end


@dataclass(frozen=True)
class JobResult:
    """What a finished job reports: the paths it wrote, its figures, its MLflow run."""

    outputs: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)
    mlflow_run_id: str | None = None
    counters: dict[str, float] = field(default_factory=dict)  # of `yt8m_spark.counters`
    dry_run: bool = False


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
    open_streams()
    for logger in _QUERY_LOGGERS:
        PySparkLogger.getLogger(logger).setLevel(logging.CRITICAL)
    _terminate_in_order()
    try:
        with reporting(name):
            given = sys.argv[1:] if argv is None else argv
            result = _told(name, config_type, main, given)
    except KeyboardInterrupt:
        sys.exit(_interrupted(name))
    except Exception as error:
        # Spark answers Ctrl-C itself, by cancelling the job that Python waits for.
        stopped = _is_terminated or _CANCELLED in str(error)
        sys.exit(_interrupted(name) if stopped else _report(name, error))
    print_result(name, _json_line(name, result))
    sys.exit(0)


def _told(
    name: str, config_type: type[Config], main: Callable[[Config], JobResult], argv: Sequence[str]
) -> JobResult:
    """What ``main`` gives, or the plan if that is what is asked for; tells of its end."""
    began = time.monotonic()
    try:
        config = load_config(config_type, argv, job=name)
        with with_plan_of(config):
            result = main(config)
    except DryRun as asked:
        return JobResult({}, report_plan(name, asked), dry_run=True)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if has_begun():  # what is refused before, in one line on stderr, has not failed
            reason = user_error(error) or f"{type(error).__name__}: {_first_line(error)}"
            reason = _ENDED_LINE if _ENDED.search(str(error)) else reason
            if _is_terminated or isinstance(error, KeyboardInterrupt):
                reason = _how_ended()
            seconds = round(time.monotonic() - began, 3)
            failed = {"status": "failed", "seconds": seconds, "error": reason}
            emit("job_failed", failed, level=logging.ERROR)
        raise
    seconds = round(time.monotonic() - began, 3)
    emit("job_finished", {"status": "finished", **result.counters, "seconds": seconds})
    return result


def user_error(error: BaseException) -> str | None:
    """One line if ``error``, or what caused it, is an input at fault; else None."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _STORAGE:
        return f"cannot write or read: {error}"
    in_storage = _STORAGE_IN_TASK.search(str(error)) or _STORAGE_IN_JAVA.search(str(error))
    if in_storage:
        return f"cannot write or read: {in_storage.group(1)}"
    cut_short = _CUT_SHORT.search(str(error))
    if cut_short:
        return f"cannot write: No space left on device, it seems ({cut_short.group(0)})"
    found = _IN_TASK.search(str(error)) or _UNREADABLE.search(str(error))
    if found:
        return _SQLSTATE.sub("", found.group(1)).strip()
    if isinstance(error, AnalysisException):
        # Path not found, no schema, no such column: Spark's own first line says it well.
        return _SQLSTATE.sub("", _first_line(error))
    return user_error(error.__cause__) if error.__cause__ else None


def _terminate_in_order() -> None:
    """Let SIGTERM unwind the job, so that its run is closed and its temporary files go."""
    global _is_terminated
    _is_terminated = False
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, frame: FrameType | None) -> None:
    """Do as Ctrl-C does: PySpark's handler of it cancels what Spark is at.

    An exit alone would wait until that is done, which may be hours.
    """
    global _is_terminated
    _is_terminated = True
    interrupt = signal.getsignal(signal.SIGINT)
    if callable(interrupt):
        interrupt(signal.SIGINT, frame)
    raise KeyboardInterrupt


def _interrupted(name: str) -> int:
    _tell(f"{name}: {_how_ended()}")
    return 128 + (signal.SIGTERM if _is_terminated else signal.SIGINT)


def _how_ended() -> str:
    return "terminated (SIGTERM)" if _is_terminated else "interrupted"


def _report(name: str, error: Exception) -> int:
    """Tell ``error`` on stderr and return the exit status."""
    line = user_error(error)
    if line is not None:
        _tell(f"{name}: error: {line}")
        return 2
    if _ENDED.search(str(error)):
        _tell(f"{name}: failed: {_ENDED_LINE}")
        return 128 + signal.SIGTERM
    if isinstance(error, RankError):  # a page of the driver's stack would tell no more
        _tell(f"{name}: failed: {error}")
        return 1
    # A fault of ours: the Python side of the story, from the worker if it happened there.
    in_worker = _WORKER_TRACE.search(str(error))
    trace = in_worker.group(0) if in_worker else traceback.format_exc()
    _tell(_JAVA_FRAME.sub("", trace))
    _tell(f"{name}: failed: {_first_line(error)}")
    return 1


def _tell(text: str) -> None:
    """Print an error: a path, or Spark's own words, may have a secret in them."""
    print(masked(text), file=sys.stderr)


def _first_line(error: BaseException) -> str:
    """First line of ``error`` that says something, or its type."""
    told = (line.strip(" \t:") for line in str(error).splitlines())
    lines = [line for line in told if line and not line.startswith(_CALLING)]
    return lines[0] if lines else repr(error)


def _json_line(name: str, result: JobResult) -> str:
    # JSON has no NaN; a figure that could not be taken is null.
    metrics = {k: v if math.isfinite(v) else None for k, v in result.metrics.items()}
    line: dict[str, object] = {
        "job": name,
        "outputs": {output: masked(path) for output, path in result.outputs.items()},
        "metrics": metrics,
        "mlflow_run_id": result.mlflow_run_id,
    }
    if result.dry_run:
        line["dry_run"] = True
    return json.dumps(line, default=float)  # NumPy's numbers
