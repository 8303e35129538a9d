"""A file held by one process of a machine, or of all that share its file system where that can."""

from __future__ import annotations

import fcntl
from typing import IO, Any

__all__ = ["lock_of_the_dead", "try_lock"]


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file until it is closed; False if another process has it.

    On a file system without locks nobody is kept out.
    """
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def lock_of_the_dead(file: IO[Any]) -> bool:
    """Lock an open file; True only if it is certain that no process of this machine had it.

    On a file system without locks nothing is certain.
    """
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
