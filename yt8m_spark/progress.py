"""Progress of work that runs in tasks: small files on shared storage, one bar in the driver."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

__all__ = ["Heartbeat", "step", "watch"]

_SECONDS = 1.0  # how often a task writes its count and the driver reads them


class Heartbeat:
    """A task's count of units done, kept in ``<folder>/<key>`` for the driver to add up.

    A task that is run again starts from 0 and replaces its own count, so nothing counts twice.
    The folder is the driver's: once it is gone, a task that outlived its job counts no more.
    """

    def __init__(self, folder: str, key: str) -> None:
        self._path = Path(folder) / key
        self._done = 0
        self._written = 0.0

    def advance(self, n: int) -> None:
        """Count ``n`` more units; writes at most once a second."""
        self._done += n
        if time.monotonic() - self._written > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the count now."""
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with suppress(FileNotFoundError):
            temporary.write_text(str(self._done))
            os.replace(temporary, self._path)
        self._written = time.monotonic()


@contextmanager
def watch(folder: str, total: int | None, label: str, unit: str = " videos") -> Iterator[str]:
    """Show a bar with time left on stderr while tasks count to ``total`` in ``folder``.

    Gives ``folder``, which all tasks must see; it is emptied first and removed afterwards. A total
    of None shows how many and how fast.
    """
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    stop = threading.Event()
    with tqdm(
        total=total,
        desc=label,
        unit=unit,
        unit_scale=True,
        file=sys.stderr,
        mininterval=_interval(),
    ) as bar:
        follower = threading.Thread(target=_follow, args=(folder, bar, stop), daemon=True)
        follower.start()
        try:
            yield folder
        finally:
            stop.set()
            follower.join()
            bar.update(_sum_of_counts(folder) - bar.n)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def step(label: str) -> Iterator[None]:
    """Tell on stderr that ``label`` is under way, and how long it took."""
    print(f"{label} ...", file=sys.stderr, flush=True)
    start = time.monotonic()
    yield
    print(f"{label}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


def _interval() -> float:
    """Seconds between bars: often for a person at a terminal, rarely for a log file."""
    return 0.5 if sys.stderr.isatty() else 10.0


def _follow(folder: str, bar: tqdm[None], stop: threading.Event) -> None:
    while not stop.wait(_SECONDS):
        bar.update(_sum_of_counts(folder) - bar.n)


def _sum_of_counts(folder: str) -> int:
    """Units done so far; a count that is being replaced just now reads as it was or will be."""
    total = 0
    for path in Path(folder).glob("[!.]*"):
        try:
            total += int(path.read_text() or 0)
        except (OSError, ValueError):
            continue
    return total
