"""Text that people bring, within limits: TOML, JSON, lists and CSV files.

A file that is huge, no text, or nested without end is refused in one line, in bounded memory.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import IO, Any

from yt8m_spark.errors import InputError

__all__ = [
    "LARGEST_TOML",
    "LONGEST_LINE",
    "bounded_lines",
    "open_lines",
    "parse_json",
    "parse_toml",
    "read_text",
]

# Far above what is ever right: the largest file of ours is the manifest of a table, about 500
# bytes a shard. Python needs some 30 times as much for what a JSON file holds.
LARGEST_JSON = 64 << 20
LARGEST_TOML = 256 << 10
LONGEST_LINE = 1 << 20  # a vocabulary's longest is 4 kB

_INTEGERS = range(-(2**63), 2**64)  # 64 bits, with a sign or without
_DIGITS = 20  # of the largest of them
_SHOWN = 40
_PIECE = 64 << 10


def read_text(path: str, complaint: str, most: int = LARGEST_JSON) -> str:
    """Text of a small file of UTF-8; a byte-order mark is left out.

    Parameters
    ----------
    path : str
    complaint : str
        What to say of a file that is none: ``"not a TOML file"``.
    most : int
        Bytes.

    Raises
    ------
    InputError
        If it has more than ``most`` bytes, is no UTF-8 or holds zero bytes.
    OSError
        If it cannot be read.
    """
    with open(path, "rb") as file:
        # Not by its size, for a device or a pipe has none, nor all at once, for Python would take
        # the memory of the limit.
        pieces = iter(partial(file.read, _PIECE), b"")
        data = b"".join(islice(pieces, most // _PIECE + 1))
    if len(data) > most:
        raise InputError("file is too long", where=path, expected=f"at most {most} bytes")
    return _text(data, path, complaint)


@contextmanager
def open_lines(path: str, complaint: str) -> Iterator[Iterator[str]]:
    """Lines of a file of UTF-8 with their ends, for `csv.reader` or as they are.

    ``complaint`` is what to say of a file that is none.

    Raises
    ------
    InputError
        While they are read: as `bounded_lines`, or if one is no UTF-8 or holds zero bytes.
    OSError
        If it cannot be read.
    """
    with open(path, "rb") as file:
        yield (
            _text(line, f"{path}, line {number}", complaint)
            for number, line in enumerate(bounded_lines(file, path), start=1)
        )


def bounded_lines(
    file: IO[bytes], where: str, longest: int = LONGEST_LINE, start: int = 1
) -> Iterator[bytes]:
    """Lines of ``file``, with their ends, the first of number ``start``.

    Raises
    ------
    InputError
        If a line has more than ``longest`` bytes: one without an end could fill the memory.
    """
    number = start
    while line := file.readline(longest + 1):
        if len(line) > longest:
            place = f"{where}, line {number}"
            raise InputError("line is too long", where=place, expected=f"at most {longest} bytes")
        yield line
        number += 1


def parse_json(text: str | bytes, where: str) -> Any:
    """Value of a JSON text.

    Raises
    ------
    InputError
        If it is none, is nested too deeply, has a key twice in one object, of which one would be
        lost, or a number that 64 bits do not hold.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=_finite_float
        )
    except RecursionError:
        raise InputError("not a JSON file", where=where, found="nested too deeply") from None
    except ValueError as error:
        raise InputError("not a JSON file", where=where, found=error) from None


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Keys and values of a TOML text, which may have no key twice.

    Raises
    ------
    InputError
        If it is none, is nested too deeply, or has a number that 64 bits do not hold.
    """
    try:
        values = tomllib.loads(text, parse_float=_finite_float)
        _check_integers(values)
    except RecursionError:
        raise InputError("not a TOML file", where=where, found="nested too deeply") from None
    except ValueError as error:
        raise InputError("not a TOML file", where=where, found=error) from None
    return values


def _text(data: bytes, where: str, complaint: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {data[error.start]:#04x}"
        raise InputError(complaint, where=where, expected="UTF-8", found=found) from None
    if "\0" in text:
        raise InputError(complaint, where=where, expected="UTF-8", found="a zero byte")
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"key {twice[:_SHOWN]!r} comes twice")
    return made


def _integer(digits: str) -> int:
    # By its length first: Python takes long for thousands of digits, and refuses more.
    if len(digits) > _DIGITS or int(digits) not in _INTEGERS:
        raise ValueError(f"number {digits[:_SHOWN]} is out of range")
    return int(digits)


def _finite_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number) and "inf" not in digits:  # TOML may say inf, which is meant
        raise ValueError(f"number {digits[:_SHOWN]} is out of range")
    return number


def _check_integers(value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            _check_integers(part)
    elif isinstance(value, int) and value not in _INTEGERS:
        raise ValueError("a whole number is out of range")
