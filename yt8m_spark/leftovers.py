"""What a process that was killed has left beside an output: told from what is at work, removed.

Whoever writes an output holds a claim: a lock beside it, under a name that no other writer has, and
all its temporary names start with that name. A lock dies with its process, so the next writer to
the same output knows what belongs to nobody. That holds on one machine; of a claim of another one
it is only told, since file systems of networks may not tell whether a lock is held.
"""

from __future__ import annotations

import glob
import json
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from yt8m_spark.events import note
from yt8m_spark.file_locks import lock_of_the_dead, try_lock

__all__ = [
    "Claim",
    "claimed",
    "finish_removals",
    "remove",
    "remove_leftovers",
    "remove_temporaries",
]

_TOKEN_DIGITS = 12
_SILENT = 60  # seconds; a writer says at once who it is, unless it is killed
_NAMELESS = re.compile(r"(\.[0-9a-f]{32})+")  # what `remove` puts behind the name of a folder
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp", re.DOTALL)  # of `artifacts.file_in_place`


class Claim(NamedTuple):
    """Names that are one writer's; all start with that of ``staged``."""

    staged: Path  # what will become the output
    old: Path  # where the output before it waits until the new one is in place


@contextmanager
def claimed(target: Path, run_id: str | None = None) -> Iterator[Claim]:
    """Hold a claim on writing ``target`` until the body ends.

    ``run_id`` is of the MLflow run that writes, for whoever finds the claim.
    """
    token = uuid.uuid4().hex[:_TOKEN_DIGITS]
    staged = target.parent / f".{target.name}.{token}.tmp"
    with _lock_of(staged).open("w") as file:
        try:
            # Whoever comes before the last of these lines finds no claim yet, and leaves it alone.
            try_lock(file)
            json.dump({"host": platform.node(), "pid": os.getpid(), "run_id": run_id}, file)
            file.flush()
            yield Claim(staged, staged.with_name(f"{staged.name}.old"))
        finally:
            # If a signal has cut the clean-up short, the lock stays: the next writer does the rest.
            if _names(staged) == {_lock_of(staged)}:
                _lock_of(staged).unlink()


def remove_leftovers(target: Path) -> list[str]:
    """Remove what killed writers of ``target`` have left; MLflow runs that they were.

    If one was killed while it replaced an output, the old one is put back.
    """
    pattern = f".{glob.escape(target.name)}.{'[0-9a-f]' * _TOKEN_DIGITS}.tmp.lock"
    runs = []
    for lock in sorted(target.parent.glob(pattern)):
        # One that is gone meanwhile, or of another user, whose files are not ours to remove.
        with suppress(FileNotFoundError, PermissionError), lock.open() as file:
            left = _read_claim(file)
            if left is None:
                if time.time() - lock.stat().st_mtime > _SILENT and lock_of_the_dead(file):
                    lock.unlink(missing_ok=True)
                continue
            if left["host"] != platform.node():
                what = "something of a run on another machine is there; remove it if that is over"
                note(f"{what}: {lock.with_suffix('')}*")
                continue
            if not lock_of_the_dead(file):
                continue
            _remove_all(lock.with_suffix(""), target)
            if left["run_id"]:
                runs.append(str(left["run_id"]))
    return runs


def remove_temporaries(folder: Path) -> None:
    """Remove temporary files that tasks which were killed have left in ``folder``."""
    if folder.is_dir():
        with suppress(FileNotFoundError):  # another job may take the folder's name meanwhile
            for path in folder.rglob(".*.tmp"):
                if _TEMPORARY.fullmatch(path.name):
                    path.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there.

    A folder loses its name first: tasks that are still at work could fill it while it is emptied.
    """
    if path.is_dir():
        nameless = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            os.rename(path, nameless)
        except OSError:
            nameless = path
        shutil.rmtree(nameless, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def finish_removals(path: Path) -> None:
    """Remove what is left of ``path`` by processes that were killed while they removed it."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*"):
        if _NAMELESS.fullmatch(left.name.removeprefix(path.name)):
            remove(left)


def _remove_all(staged: Path, target: Path) -> None:
    """Remove all names of a claim, its lock last."""
    old = staged.with_name(f"{staged.name}.old")
    if old.exists() and not target.exists():
        os.rename(old, target)
    lock = _lock_of(staged)
    for path in (*sorted(_names(staged) - {lock}), lock):
        remove(path)


def _names(staged: Path) -> set[Path]:
    """All of a claim that is there."""
    return set(staged.parent.glob(f"{glob.escape(staged.name)}*"))


def _lock_of(staged: Path) -> Path:
    return staged.with_name(f"{staged.name}.lock")


def _read_claim(file: IO[str]) -> dict[str, object] | None:
    """What a lock says; None if it says nothing yet."""
    try:
        found = json.load(file)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"host", "run_id"} <= found.keys() else None
