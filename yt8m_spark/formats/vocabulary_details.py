"""What a vocabulary tells of its entities beside their names: videos of Train, and verticals."""

from __future__ import annotations

import csv
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
from yt8m_spark.formats.small_text import open_lines
from yt8m_spark.formats.vocabulary import read_vocabulary

__all__ = ["VocabularyDetails", "read_vocabulary_details"]

_ENTITY = ("index", "label_id")
_COUNT = "trainvideocount"
_VERTICALS = ("vertical1", "vertical2", "vertical3")
_LARGEST_COUNT = 2**53  # exact in the float64 of shares and ratios


class VocabularyDetails(NamedTuple):
    """Entities, and what is known of each; a mapping lacks the entities it knows nothing of."""

    entities: NDArray[np.int64]  # (E,) ascending
    names: dict[int, str]
    video_counts: dict[int, int]  # videos of Train in the release, TrainVideoCount
    verticals: dict[int, tuple[str, ...]]  # one to three, as Vertical1 .. Vertical3 have them


def read_vocabulary_details(path: str) -> VocabularyDetails:
    """Read a CSV file of entities with its counts and verticals, where it has such columns.

    AudioSet's list of classes and the release's list of names of 2017 have neither.

    Raises
    ------
    InputError
        As `read_vocabulary`; and if a count is no whole number, with the file and the row (from 1).
    """
    vocabulary = read_vocabulary(path)  # also checks that the file is such a CSV
    counts: dict[int, int] = {}
    verticals: dict[int, tuple[str, ...]] = {}
    with open_lines(path, "vocabulary is no CSV file") as text:
        lines = csv.reader(text, strict=True)
        header = [name.strip().lower() for name in next(lines)]
        entity_at = next(header.index(name) for name in _ENTITY if name in header)
        for number, row in enumerate(lines, start=1):
            if not row:
                continue
            fields = dict(zip(header, row, strict=True))
            entity = int(row[entity_at])
            count = fields.get(_COUNT, "").strip()
            if count:
                counts[entity] = _count(count, f"{path}, row {number}")
            found = [fields.get(column, "").strip() for column in _VERTICALS]
            if any(found):
                verticals[entity] = tuple(dict.fromkeys(name for name in found if name))
    return VocabularyDetails(vocabulary.entities, vocabulary.names, counts, verticals)


def _count(text: str, where: str) -> int:
    """Number of videos in a field."""
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST_COUNT))
    if not digits or int(text) > _LARGEST_COUNT:
        expected = f"a whole number of 0 .. {_LARGEST_COUNT}"
        raise InputError("bad TrainVideoCount", where=where, expected=expected, found=text[:40])
    return int(text)
