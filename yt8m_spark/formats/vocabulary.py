"""The vocabulary: which entities there are and what they are called."""

from __future__ import annotations

import csv
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
from yt8m_spark.formats.small_text import open_lines

__all__ = [
    "COLUMNS",
    "Vocabulary",
    "read_vocabulary",
    "write_vocabulary",
    "write_vocabulary_rows",
]

# Columns of the release's vocabulary.csv.
COLUMNS = (
    "Index",
    "TrainVideoCount",
    "KnowledgeGraphId",
    "Name",
    "WikiUrl",
    "Vertical1",
    "Vertical2",
    "Vertical3",
    "WikiDescription",
)
# Names of the same two columns in lower case: here, in AudioSet's list, in the list of 2017.
_ENTITY = ("index", "label_id")
_NAME = ("name", "display_name", "label_name")
_LARGEST_ENTITY = 2**31 - 1  # labels are int columns


class Vocabulary(NamedTuple):
    """Entities and their names."""

    entities: NDArray[np.int64]  # (E,) ascending
    names: dict[int, str]  # only of entities that have one


def read_vocabulary(path: str) -> Vocabulary:
    """Read a CSV file of entities: the release's vocabulary.csv or AudioSet's list of classes.

    Parameters
    ----------
    path : str
        Has a header with a column ``Index`` (or ``label_id``) and, for the names, ``Name`` (or
        ``display_name``, ``label_name``), in upper or lower case; all others are ignored.

    Raises
    ------
    InputError
        If the file is missing, is no such CSV file, has no entity, or has one that is no whole
        number of 0 .. 2**31 - 1 or comes twice. It names the file and the row (from 1).
    """
    names: dict[int, str] = {}
    try:
        with open_lines(path, "vocabulary is no CSV file") as lines:
            for row, entity, name in _rows(path, csv.reader(lines, strict=True)):
                if entity in names:
                    raise InputError(f"entity {entity} comes twice", where=f"{path}, row {row}")
                names[entity] = name
    except FileNotFoundError:
        raise InputError("no such vocabulary", where=path) from None
    except OSError as error:
        raise InputError(f"vocabulary cannot be read ({error.strerror})", where=path) from None
    except csv.Error as error:
        raise InputError("vocabulary is no CSV file", where=path, found=error) from None
    if not names:
        raise InputError("vocabulary has no entities", where=path)
    named = {entity: name for entity, name in names.items() if name}
    return Vocabulary(np.array(sorted(names), dtype=np.int64), named)


def write_vocabulary(path: str, names: Mapping[int, str], video_counts: Mapping[int, int]) -> None:
    """Write a vocabulary with the release's columns, whole or not at all.

    Parameters
    ----------
    path : str
        Replaced if it is there.
    names : mapping of int to str
        Name of every entity.
    video_counts : mapping of int to int
        Videos of Train that have the entity; 0 where it is absent.
    """
    rows = (
        {"Index": entity, "TrainVideoCount": video_counts.get(entity, 0), "Name": names[entity]}
        for entity in sorted(names)
    )
    write_vocabulary_rows(path, rows)


def write_vocabulary_rows(path: str, rows: Iterable[Mapping[str, object]]) -> None:
    """Write a vocabulary of ``rows`` in their order, whole or not at all.

    Parameters
    ----------
    path : str
        Replaced if it is there.
    rows : iterable of mapping
        Values by their name in `COLUMNS`; what is absent stays empty.

    Raises
    ------
    ValueError
        If a row has a value that is of no column.
    """
    folder, file_name = os.path.split(path)
    temporary = os.path.join(folder, f".{file_name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _rows(path: str, lines: Iterator[list[str]]) -> Iterator[tuple[int, int, str]]:
    """Row number, entity and name of every row after the header; empty lines are skipped."""
    header = [name.strip().lower() for name in next(lines, [])]
    entity_at, name_at = _position(header, _ENTITY), _position(header, _NAME)
    if entity_at is None:
        raise InputError(
            "not a vocabulary", where=path, expected="a column Index", found=", ".join(header)[:80]
        )
    for number, row in enumerate(lines, start=1):
        where = f"{path}, row {number}"
        if not row:
            continue
        if len(row) != len(header):
            expected = f"{len(header)} columns"
            raise InputError("malformed row", where=where, expected=expected, found=len(row))
        yield number, _entity(row[entity_at], where), "" if name_at is None else row[name_at]


def _position(header: Sequence[str], names: Sequence[str]) -> int | None:
    """Position of the first of ``names`` that is a column."""
    return next((header.index(name) for name in names if name in header), None)


def _entity(text: str, where: str) -> int:
    """Entity id in a field."""
    text = text.strip()
    # isdecimal alone admits other scripts' digits.
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST_ENTITY))
    if not digits or int(text) > _LARGEST_ENTITY:
        expected = f"a whole number of 0 .. {_LARGEST_ENTITY}"
        raise InputError("bad entity id", where=where, expected=expected, found=repr(text[:40]))
    return int(text)
