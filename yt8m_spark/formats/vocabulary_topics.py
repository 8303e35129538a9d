"""A vocabulary as the dictionary from topics to entities, and its rows with all they hold."""

from __future__ import annotations

import csv
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
from yt8m_spark.formats.small_text import open_lines
from yt8m_spark.formats.vocabulary import COLUMNS, read_vocabulary

__all__ = ["VocabularyTopics", "read_vocabulary_topics"]

# Names of other lists for the columns of the release: AudioSet's.
_ALSO = {"label_id": "index", "mid": "knowledgegraphid", "display_name": "name"}
_RELEASED = {name.lower(): name for name in COLUMNS}


class VocabularyTopics(NamedTuple):
    """Entities, and the topics that mean them."""

    entities: NDArray[np.int64]  # (E,) ascending, the Index of each
    topics: dict[str, int]  # entity by KnowledgeGraphId and by Index, as text
    rows: dict[int, dict[str, str]]  # by entity: text by the release's name of the column


def read_vocabulary_topics(path: str) -> VocabularyTopics:
    """Read a CSV file of entities with what names them in a list of topics.

    A topic is an entity's KnowledgeGraphId or its Index; AudioSet's list has both, too.

    Raises
    ------
    InputError
        As `read_vocabulary`; and if two entities have one KnowledgeGraphId, or one's is the Index
        of another, with the file and the row (from 1): topics would be of the wrong entity.
    """
    entities = read_vocabulary(path).entities  # also checks that the file is such a CSV
    topics = {str(entity): entity for entity in entities.tolist()}
    rows: dict[int, dict[str, str]] = {}
    with open_lines(path, "vocabulary is no CSV file") as text:
        lines = csv.reader(text, strict=True)
        header = [_released(name) for name in next(lines)]
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            row = {name: text for name, text in zip(header, line, strict=True) if name}
            entity = int(row["Index"])
            rows[entity] = row | {"Index": str(entity)}
            topic = row.get("KnowledgeGraphId", "").strip()
            if topic and topics.setdefault(topic, entity) != entity:
                found = f"{topic!r}, which is entity {topics[topic]} too"
                where = f"{path}, row {number}"
                raise InputError("ambiguous KnowledgeGraphId", where=where, found=found)
    return VocabularyTopics(entities, topics, rows)


def _released(name: str) -> str | None:
    """Name that the release has for a column; None if it has no such column."""
    lower = name.strip().lower()
    return _RELEASED.get(_ALSO.get(lower, lower))
