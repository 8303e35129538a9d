"""What a vocabulary says of its entities in words: descriptions, and where to read on."""

from __future__ import annotations

import csv
import re
from typing import NamedTuple

from yt8m_spark.formats.small_text import open_lines

__all__ = ["EntityTexts", "read_entity_texts"]

_ENTITY = ("index", "label_id")
_COLUMNS = {"mid": "knowledgegraphid", "wiki_url": "wikiurl", "description": "wikidescription"}
_WEB = re.compile(r"https?://", re.IGNORECASE)


class EntityTexts(NamedTuple):
    """Texts of one entity; None for what the vocabulary does not tell."""

    mid: str | None  # id in the Knowledge Graph, /m/...
    wiki_url: str | None  # of http or https: nothing else may become a link
    description: str | None


def read_entity_texts(path: str, n_characters: int = 400) -> dict[int, EntityTexts]:
    """Texts of the entities of the vocabulary at ``path``, those that have any.

    Parameters
    ----------
    path : str
        A vocabulary that `read_vocabulary_details` has read without complaint.
    n_characters : int
        Descriptions are cut after the last whole word within so many characters.
    """
    texts: dict[int, EntityTexts] = {}
    with open_lines(path, "vocabulary is no CSV file") as text:
        lines = csv.reader(text, strict=True)
        header = [name.strip().lower() for name in next(lines)]
        entity_at = next(header.index(name) for name in _ENTITY if name in header)
        for row in filter(None, lines):
            fields = dict(zip(header, row, strict=True))
            mid, url, description = (fields.get(name, "").strip() for name in _COLUMNS.values())
            web = url if _WEB.match(url) else ""
            found = EntityTexts(mid or None, web or None, cut(description, n_characters) or None)
            if any(found):
                texts[int(row[entity_at])] = found
    return texts


def cut(text: str, n_characters: int) -> str:
    """``text`` to the last whole word within ``n_characters``, and an ellipsis if it was longer."""
    if len(text) <= n_characters:
        return text
    return text[:n_characters].rsplit(" ", 1)[0].rstrip(" ,;:.") + " …"
