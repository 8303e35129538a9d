"""Exceptions that are told in one line: the input is at fault, or a process of a training died."""

from __future__ import annotations

__all__ = ["InputError", "RankError"]


class InputError(ValueError):
    """Input that cannot be used, told in one line: what, where, what was expected, what came.

    A job that meets one prints the line and exits with status 2; it never shows a stack trace.

    Parameters
    ----------
    what : str
        What is wrong, without a full stop: ``"record is cut short"``.
    where : str, optional
        The place as exactly as it is known: ``"train0001.tfrecord, record 17"``.
    expected, found : object, optional
        What the place should hold, and what it holds.
    """

    def __init__(
        self, what: str, *, where: str = "", expected: object = None, found: object = None
    ) -> None:
        parts = [f"{what} in {where}" if where else what]
        if expected is not None:
            parts.append(f"expected {expected}")
        if found is not None:
            parts.append(f"found {found}")
        one_line = ", ".join(" ".join(part.split()) for part in parts)
        super().__init__(one_line)

    def __reduce__(self) -> tuple[type[InputError], tuple[str]]:
        """Travel between processes as the finished line."""
        return type(self), (str(self),)


class RankError(RuntimeError):
    """A process of a training that died: which, how, where the training stood.

    No fault of the input, and no stack trace of the driver tells more: a job prints the line and
    exits with status 1.
    """
