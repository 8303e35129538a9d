"""What a job has read, written and had to do again: the metrics ``counters/...`` of its run.

==========================  =====================================================================
counter                     what it counts
==========================  =====================================================================
``files_read, bytes_read``  files of the inputs and their sizes as stored, each once
``rows_read``               rows of the inputs, where footers or manifests of all tables tell;
                            with shards among them, the most rows that the tasks of a stage gave
``files_written, ...``      the same of the output: data files, and rows of its Parquet files
``bad_records``             records that were left out
``task_retries``            attempts of tasks of ours that were not the first (see below)
``seconds``                 from the opened session to the end of the work
``seconds/<stage>``         of each stage; all its turns together
==========================  =====================================================================

What is not known is not logged. With ``spark.speculation`` on, later attempts may be copies of a
slow task as well as retries, which cannot be told apart: they are ``task_retries_or_copies``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

__all__ = ["Marks", "Tally", "current_tally", "sizes_of", "tallied"]

_PREFIX = "counters/"
_SIZES = {"files": "num_files", "bytes": "num_bytes", "rows": "num_rows"}


@dataclass
class Marks:
    """What tasks left beside their counts."""

    retries: int = 0
    bad_records: int = 0


@dataclass
class Tally:
    """Counts of a job under way."""

    began: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)  # by stage
    rows: int = 0  # the most that a stage gave
    marks: Marks = field(default_factory=Marks)
    read: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    speculative: bool = False

    def end_stage(self, stage: str, seconds: float, rows: int | None = None) -> None:
        """Count a turn of ``stage`` that is over, and the rows it gave if it counts any."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.rows = max(self.rows, rows or 0)

    def add(self, marks: Marks) -> None:
        """Count what tasks left."""
        self.marks.retries += marks.retries
        self.marks.bad_records += marks.bad_records

    def metrics(self) -> dict[str, float]:
        """Counters by the names of MLflow's metrics."""
        read = dict(self.read)
        if self.rows and read.get("files") and "rows" not in read:
            read["rows"] = self.rows
        again = "task_retries_or_copies" if self.speculative else "task_retries"
        found: dict[str, float] = {
            **{f"{name}_read": float(count) for name, count in read.items()},
            **{f"{name}_written": float(count) for name, count in self.written.items()},
            "bad_records": float(self.marks.bad_records),
            again: float(self.marks.retries),
            "seconds": time.monotonic() - self.began,
            **{f"seconds/{stage}": value for stage, value in self.seconds.items()},
        }
        return {_PREFIX + name: value for name, value in found.items()}

    def summary(self) -> dict[str, float]:
        """The same without the stages, by plain names, for a line of a log."""
        named = {key.removeprefix(_PREFIX): value for key, value in self.metrics().items()}
        return {
            key: round(value, 3) if key == "seconds" else int(value)
            for key, value in named.items()
            if "/" not in key
        }


def sizes_of(described: Sequence[Mapping[str, str | None]]) -> dict[str, int]:
    """Files, bytes and rows of data that `datasets.describe_dataset` described.

    Only rows of videos count, not those of a vocabulary or a model; they are there if they are
    known of all tables.
    """
    sizes: dict[str, int] = {}
    unknown = False
    for found in described:
        profile = json.loads(found["profile"] or "{}")
        is_data = found["context"] in ("training", "evaluation")
        unknown |= is_data and "num_rows" not in profile
        for name, key in _SIZES.items():
            if key in profile and (is_data or name != "rows"):
                sizes[name] = sizes.get(name, 0) + profile[key]
    return {name: n for name, n in sizes.items() if not (unknown and name == "rows")}


_tally: ContextVar[Tally | None] = ContextVar("yt8m_spark_tally", default=None)


@contextmanager
def tallied() -> Iterator[Tally]:
    """Count what the body does."""
    tally = Tally()
    token = _tally.set(tally)
    try:
        yield tally
    finally:
        _tally.reset(token)


def current_tally() -> Tally:
    """Tally of the job under way; where there is none, one that nobody reads."""
    return _tally.get() or Tally()
