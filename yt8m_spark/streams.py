"""Streams of a process that are closed, or lead to a full disk or a pipe that is gone."""

from __future__ import annotations

import os
import sys

__all__ = ["open_streams", "print_result"]


def open_streams() -> None:
    """Give a process whose stdin, stdout or stderr is closed an empty one.

    Else a file that it opens would get the number, and with it what the JVM prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - for all its life
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def print_result(name: str, line: str) -> None:
    """Print the last line of stdout; where that cannot be, the output is there all the same."""
    try:
        print(line, flush=True)
    except OSError as error:
        told = f"{name}: warning: the output is complete, but its result cannot be printed"
        print(f"{told} ({error.strerror})", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what Python still holds at its end
