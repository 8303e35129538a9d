"""Progress of work that runs in tasks: small files on shared storage, one bar in the driver.

Where a job's stderr is no terminal the bar is an event every ten seconds (see `yt8m_spark.events`).
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Never, Protocol

from pyspark import TaskContext
from tqdm import tqdm

from yt8m_spark.counters import Marks, current_tally
from yt8m_spark.events import emit, in_stage_called, is_logged, stage_name

__all__ = ["Heartbeat", "bar", "left_out", "part", "step", "watch"]

_SECONDS = 1.0  # how often a task writes its count and the driver reads them
_LOG_SECONDS = 10.0  # between events of progress
_AGAIN, _BAD = ".again.", ".bad."  # how names of marks start; a count's does not start with a dot

# Records that this process has left out so far; a task's are those of its time.
_n_left_out = 0


class Heartbeat:
    """A task's count of units done, kept in ``<folder>/<key>`` for the driver to add up.

    A task that is run again starts from 0 and replaces its own count, so nothing counts twice; it
    leaves a mark that it is. The folder is the driver's: once it is gone, a task that outlived its
    job counts no more.
    """

    def __init__(self, folder: str, key: str) -> None:
        self._path = Path(folder) / key
        self._done = 0
        self._written = 0.0
        self._left_out_before = _n_left_out
        _mark_attempt(Path(folder))

    def advance(self, n: int) -> None:
        """Count ``n`` more units; writes at most once a second."""
        self._done += n
        if time.monotonic() - self._written > _SECONDS:
            self.flush()

    def catch_up(self, n: int) -> None:
        """Count up to ``n`` units, if there are fewer: what is left of them need not be done."""
        self.advance(max(0, n - self._done))

    def flush(self) -> None:
        """Write the count now."""
        bad = _n_left_out - self._left_out_before
        if bad:
            self._write(self._path.with_name(f"{_BAD}{self._path.name}"), bad)
        self._write(self._path, self._done)
        self._written = time.monotonic()

    def _write(self, path: Path, count: int) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with suppress(FileNotFoundError):
            temporary.write_text(str(count))
            os.replace(temporary, path)


class Bar(Protocol):
    """What `bar` gives: tqdm's bar, or one that is told as events."""

    n: float

    def update(self, n: float) -> object:
        """Count ``n`` more units."""

    def set_postfix_str(self, s: str) -> object:
        """Say ``s`` behind the bar."""


def left_out(n: int) -> None:
    """Count ``n`` records that the task at work leaves out."""
    global _n_left_out
    _n_left_out += n


@contextmanager
def part(name: str) -> Iterator[None]:
    """Call stages of the body ``<name>: <label>``: for work that comes in several alike."""
    token = _part.set(f"{_part.get()}{name}: ")
    try:
        yield
    finally:
        _part.reset(token)


@contextmanager
def watch(folder: str, total: int | None, label: str, unit: str = " videos") -> Iterator[str]:
    """Show a bar with time left on stderr while tasks count to ``total`` in ``folder``.

    Gives ``folder``, which all tasks must see; it is emptied first and removed afterwards. A total
    of None shows how many and how fast.
    """
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    stop = threading.Event()
    with bar(total, label, unit) as shown:
        follow, arguments = copy_context().run, (_follow, folder, shown, stop)
        follower = threading.Thread(target=follow, args=arguments, daemon=True)
        follower.start()
        try:
            yield folder
        finally:
            stop.set()
            follower.join()
            shown.update(_sum_of_counts(folder) - shown.n)
            _tell_marks(_marks(folder))
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def bar(total: int | None, label: str, unit: str) -> Iterator[Bar]:
    """Open a stage ``label`` with a bar to ``total``, on stderr, or told as events."""
    label = _part.get() + label
    with _stage(label) as ended:
        shown = _LoggedBar(total, unit.strip()) if is_logged() else _drawn(total, label, unit)
        with shown:
            try:
                yield shown
            finally:
                ended.update(done=shown.n, unit=unit.strip())


@contextmanager
def step(label: str) -> Iterator[None]:
    """Tell on stderr that ``label`` is under way, and how long it took."""
    label = _part.get() + label
    if not is_logged():
        print(f"{label} ...", file=sys.stderr, flush=True)
    with _stage(label) as ended:
        yield
    if not is_logged():
        print(f"{label}: {ended['seconds']:.1f} s", file=sys.stderr, flush=True)


_part: ContextVar[str] = ContextVar("yt8m_spark_part", default="")


@contextmanager
def _stage(label: str) -> Iterator[dict[str, float | str]]:
    """Tell that a stage starts and ends; gives what is told at the end, for the body to fill."""
    name, told = stage_name(label), dict[str, float | str]()
    with in_stage_called(name):
        emit("stage_started", {"label": label})
        start, event = time.monotonic(), "stage_failed"
        try:
            yield told
            event = "stage_finished"
        finally:
            told["seconds"] = time.monotonic() - start
            emit(event, {**told, "seconds": round(float(told["seconds"]), 3)})
            rows = int(told["done"]) if told.get("unit") == "videos" else None
            current_tally().end_stage(name, float(told["seconds"]), rows)


class _LoggedBar:
    """A bar as an event every ten seconds, however little has been done: a stall is to be seen."""

    def __init__(self, total: int | None, unit: str) -> None:
        self.n = 0.0
        self._total, self._unit, self._postfix = total, unit, ""
        self._told: deque[tuple[float, float]] = deque([(time.monotonic(), 0.0)], maxlen=7)

    def __enter__(self) -> _LoggedBar:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close; the end of the stage is told as such."""

    def set_postfix_str(self, s: str) -> None:
        """Say ``s`` with the next event."""
        self._postfix = s

    def update(self, n: float) -> None:
        """Count ``n`` more units, and tell if it is time."""
        self.n += n
        now = time.monotonic()
        if now - self._told[-1][0] < _LOG_SECONDS:
            return
        then, before = self._told[0]  # a minute ago, or at the start
        rate = (self.n - before) / (now - then)
        self._told.append((now, self.n))
        left = None if self._total is None or rate <= 0 else (self._total - self.n) / rate
        emit(
            "progress",
            {
                "done": int(self.n),
                "total": self._total,
                "unit": self._unit,
                "per_second": round(rate, 1),
                "left_seconds": None if left is None else round(max(left, 0.0), 1),
                "told": self._postfix or None,
            },
        )


def _drawn(total: int | None, label: str, unit: str) -> tqdm[Never]:
    columns, lines = _screen()
    return tqdm(
        total=total,
        desc=label,
        unit=unit,
        unit_scale=True,
        file=sys.stderr,
        mininterval=_interval(),
        ncols=columns,
        nrows=lines,
    )


def _screen() -> tuple[int | None, int | None]:
    """Size for a terminal that does not know its own, as some of containers; else tqdm looks."""
    with suppress(OSError, ValueError):  # no terminal
        if os.get_terminal_size(sys.stderr.fileno()).columns == 0:
            return 80, 24
    return None, None


def _interval() -> float:
    """Seconds between bars: often for a person at a terminal, rarely for a log file."""
    return 0.5 if sys.stderr.isatty() else 10.0


def _follow(folder: str, shown: Bar, stop: threading.Event) -> None:
    while not stop.wait(_SECONDS):
        shown.update(_sum_of_counts(folder) - shown.n)


def _sum_of_counts(folder: str) -> int:
    """Units done so far; a count that is being replaced just now reads as it was or will be."""
    return sum(_count(path) for path in Path(folder).glob("[!.]*"))


def _count(path: Path) -> int:
    try:
        return int(path.read_text() or 0)
    except (OSError, ValueError):
        return 0


def _mark_attempt(folder: Path) -> None:
    """Leave a mark if the task at work is not the first to try this."""
    context = TaskContext.get()
    if context is None or not context.attemptNumber():
        return
    which = context.stageId(), context.partitionId(), context.attemptNumber()
    with suppress(FileNotFoundError):
        (folder / (_AGAIN + ".".join(map(str, which)))).touch()


def _marks(folder: str) -> Marks:
    names = list(Path(folder).glob(f"{_AGAIN}*"))
    return Marks(len(names), sum(_count(path) for path in Path(folder).glob(f"{_BAD}*")))


def _tell_marks(marks: Marks) -> None:
    current_tally().add(marks)
    if marks.retries:
        emit("retries", {"tasks": marks.retries})
    if marks.bad_records:
        emit("bad_records", {"records": marks.bad_records})
