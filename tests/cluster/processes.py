"""Processes by their numbers, from /proc: who is whose child, and how to end a whole tree."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["arguments", "descendants", "gone", "kill_tree", "send"]


def descendants(pid: int) -> list[int]:
    """Processes that ``pid`` has started, and those that these have, parents first."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found = list(children.get(pid, []))
    for one in found:  # it grows while we go
        found.extend(children.get(one, []))
    return found


def arguments(pid: int) -> str:
    """Command line of ``pid``; empty once it has ended."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        return text.decode(errors="replace").strip()
    return ""


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    """Send a signal to those of ``pids`` that are still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def hit(number: signal.Signals, pids: Iterable[int]) -> None:
    """Send a signal to ``pids``, of which one at least must be there: else there is no fault."""
    there = [pid for pid in pids if arguments(pid)]
    assert there, "no process is there to be hit"
    send(number, there)


def kill_tree(pid: int) -> None:
    """End ``pid`` and all that it started, at once: nobody is left to notice."""
    tree = [pid, *descendants(pid)]
    send(signal.SIGSTOP, tree)  # so that none is started anew meanwhile
    send(signal.SIGKILL, [*tree, *descendants(pid)])


def gone(pids: Iterable[int], seconds: float) -> bool:
    """Whether all of ``pids`` end within ``seconds``; one that nobody has waited for has ended."""
    left, until = list(pids), time.monotonic() + seconds
    while left and time.monotonic() < until:
        left = [pid for pid in left if arguments(pid)]
        time.sleep(0.05)
    return not left
