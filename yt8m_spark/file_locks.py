"""A file held by one process of a machine, or of all that share its file system where that can."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import IO, Any

__all__ = ["lock_of_the_dead", "try_lock"]


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file until it is closed; False if another process has it, or had.

    On a file system without locks nobody is kept out.
    """
    return _lock(file) is not False


def lock_of_the_dead(file: IO[Any]) -> bool:
    """Lock an open file; True only if it is certain that no process of this machine had it.

    On a file system without locks nothing is certain.
    """
    return _lock(file) is True


def _lock(file: IO[Any]) -> bool | None:
    """Whether the lock of ``file`` is taken now; None on a file system without locks.

    A file that lost its name since it was opened belonged to one who is done with it: its lock
    keeps nobody out, so it does not count.
    """
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
    return False
