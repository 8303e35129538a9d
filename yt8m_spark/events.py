"""What happens in a job, one structured line an event: for driver logs, schedulers and platforms.

Events go through the logger ``yt8m_spark``, each with its job, MLflow run and stage. How they are
seen is chosen by ``YT8M_SPARK_LOG``: "text" (bars and short lines, for people), "logfmt" or "json"
(a line each on stderr). By default a job whose stderr is a terminal is "text", any other "logfmt".
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TextIO

from tqdm import tqdm

from yt8m_spark.errors import InputError
from yt8m_spark.masking import masked

__all__ = [
    "LOGGER",
    "MODE",
    "as_logfmt",
    "emit",
    "has_begun",
    "in_job",
    "in_stage_called",
    "is_logged",
    "line_of",
    "note",
    "reporting",
    "stage_name",
]

LOGGER = logging.getLogger("yt8m_spark")
LOGGER.addHandler(logging.NullHandler())  # a library is silent until somebody listens

MODE = "YT8M_SPARK_LOG"
_MODES = ("text", "logfmt", "json")

Fields = Mapping[str, Any]


class _Where(NamedTuple):
    """To what an event belongs; "" where there is none."""

    job: str = ""
    run: str = ""
    stage: str = ""


_NOWHERE = _Where()
_where: ContextVar[_Where] = ContextVar("yt8m_spark_where", default=_NOWHERE)
# Threads start without context: what they tell belongs to the job that was opened last.
_last = _NOWHERE
_mode: Literal["text", "logfmt", "json"] = "text"

_LINE = re.compile(r'\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z]+ \S+=|\{"time": ')


@contextmanager
def reporting(job: str) -> Iterator[None]:
    """Have events of ``job`` on stderr while the body runs, as ``YT8M_SPARK_LOG`` says.

    Raises
    ------
    InputError
        If that is none of text, logfmt and json.
    """
    global _mode, _last
    before, level, propagates = _mode, LOGGER.level, LOGGER.propagate
    _mode = _chosen_mode()
    handler = _Stderr() if is_logged() else None
    if handler is not None:
        handler.setFormatter(_Lines())
        LOGGER.addHandler(handler)
        LOGGER.setLevel(logging.INFO)
        LOGGER.propagate = False  # a handler of the root on stderr would tell it twice
    try:
        with _at(_Where(job)):
            yield
    finally:
        _mode, _last = before, _NOWHERE
        if handler is not None:
            LOGGER.removeHandler(handler)
            LOGGER.setLevel(level)
            LOGGER.propagate = propagates


def has_begun() -> bool:
    """Whether the job at work has opened its run, and so told its start."""
    return bool(_last.run)


def is_logged() -> bool:
    """Whether events are lines on stderr, which bars and free text must not disturb."""
    return _mode != "text"


@contextmanager
def in_job(job: str, run: str) -> Iterator[None]:
    """Let events of the body belong to ``job`` and its MLflow ``run``."""
    with _at(_Where(job, run)):
        yield


@contextmanager
def in_stage_called(stage: str) -> Iterator[None]:
    """Let events of the body belong to the stage of that name."""
    here = _where.get()
    with _at((here if here.job else _last)._replace(stage=stage)):
        yield


def stage_name(label: str) -> str:
    """Name of the stage that a bar calls ``label``: without its numbers, which stand behind commas.

    Letters, digits and underscores alone, for logs and for names of metrics.
    """
    whole, _, kind = label.rpartition(": ")  # "fold-0: train moe, 40 entities"
    name = f"{whole} {kind.partition(',')[0]}" if whole else label.partition(",")[0]
    return re.sub(r"\W+", "_", name).strip("_").lower()


def emit(event: str, fields: Fields | None = None, *, level: int = logging.INFO) -> None:
    """Log ``event`` with its ``fields``; those that are None are left out, passwords masked."""
    if not LOGGER.isEnabledFor(level):
        return
    found = _complete({"event": event, **(fields or {})})
    LOGGER.log(level, "%s", as_logfmt(found), extra={"fields": found})


def note(text: str, *, event: str = "note", level: int = logging.INFO) -> None:
    """Tell people ``text``: as it is on stderr, or each of its lines as an event."""
    if not is_logged():
        tqdm.write(masked(text), file=sys.stderr)  # between bars, not into them
    for line in text.splitlines():
        if line.strip():
            emit(event, {"message": line.rstrip()}, level=level)


def line_of(text: str) -> str:
    """One line that another process printed, without secrets, as it is or as an event's."""
    if not is_logged() or not text.strip() or _LINE.match(text):
        return masked(text)
    record = LOGGER.makeRecord(LOGGER.name, logging.INFO, "", 0, text, (), None)
    return _Lines().format(record)


def as_logfmt(fields: Fields) -> str:
    """``fields`` as ``key=value`` with blanks between; values are quoted as JSON where need be."""
    return " ".join(f"{key}={_logfmt_value(value)}" for key, value in fields.items())


def _chosen_mode() -> Literal["text", "logfmt", "json"]:
    given = os.environ.get(MODE)
    if not given:
        return "text" if sys.stderr.isatty() else "logfmt"
    for mode in _MODES:
        if given == mode:
            return mode  # type: ignore[return-value]
    raise InputError("wrong value", where=MODE, expected=f"one of {', '.join(_MODES)}", found=given)


@contextmanager
def _at(where: _Where) -> Iterator[None]:
    global _last
    before, token = _last, _where.set(where)
    _last = where
    try:
        yield
    finally:
        _where.reset(token)
        # What is told after its end, as that a job has finished, is still the run's.
        _last = where._replace(stage="") if where.run and not before.run else before


def _complete(fields: Fields) -> dict[str, Any]:
    """``fields`` behind where they belong, without what is not known, and masked."""
    where = _where.get()
    if not where.run and where.job in ("", _last.job):
        where = _last
    return {
        key: masked(value) if isinstance(value, str) else value
        for key, value in {**where._asdict(), **fields}.items()
        if value is not None and not (key in _Where._fields and value == "")
    }


def _logfmt_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10g}"
    text = str(value)
    plain = text and text.isprintable() and not set(text) & set(' ="\\')
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    """As JSON, with an escape for all that is not printable: some of it would break a line."""
    whole = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in whole)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is just then."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _Lines(logging.Formatter):
    """A line an event, as the mode says; what other code logs here is a note."""

    def format(self, record: logging.LogRecord) -> str:
        told = getattr(record, "fields", None)
        fields = told or _complete({"event": "note", "message": record.getMessage()})
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        time = at.replace("+00:00", "Z")
        if _mode != "json":
            return f"{time} {record.levelname} {as_logfmt(fields)}"
        finite = {k: None if _is_nan(v) else v for k, v in fields.items()}
        return json.dumps({"time": time, "level": record.levelname, **finite}, default=str)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
