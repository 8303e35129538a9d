"""Options of building a vocabulary, with the paper's numbers (§3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from yt8m_spark.config import check_counts, option
from yt8m_spark.core.visualness import specificity_bounds
from yt8m_spark.errors import InputError
from yt8m_spark.formats.small_text import read_text
from yt8m_spark.run import JobConfig

__all__ = ["VocabularyConfig", "listed_types"]

_LIST_FILE = ".txt"


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig(JobConfig):
    """Build a vocabulary of visual entities from a knowledge graph, ratings and videos."""

    entities: str = option(
        "table of entities: id, name, types (in CSV with | between), description, wiki_url"
    )
    types: tuple[str, ...] = option("tables of the hierarchy of types: type, parent, vertical")
    videos: str = option("table of candidate videos: video_id, topics")
    ratings: str | None = option(
        "table of ratings: entity, rater, visualness of 1 (any layperson) to 5 (not visual); "
        "without it nobody rates",
        None,
    )
    whitelist: tuple[str, ...] = option(
        "types to take, each with all below it, or a .txt file of one a line; none: all types", ()
    )
    blacklist: tuple[str, ...] = option(
        "types to leave out, given likewise; the blacklist wins over the whitelist", ()
    )
    min_raters: int = option("raters an entity must have (§3.1)", 3)
    max_visualness: float = option("highest mean rating that is kept (§3.1)", 2.5)
    min_videos: int = option("videos an entity must have (§3.1)", 200)
    unknown_types: Literal["exclude", "ignore", "error"] = option(
        "what to do with an entity of a type that --types lacks", "exclude"
    )
    duplicates: Literal["error", "exclude"] = option(
        "what to do with an id whose rows differ", "error"
    )
    n_top: int = option("entities a vertical in Table 1", 7)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        specificity_bounds(self.max_visualness)
        check_counts(self, {"min_raters": 1, "min_videos": 0, "n_top": 1})
        if not self.types:
            raise ValueError("types must name at least one table")


def listed_types(parts: Iterable[str]) -> tuple[str, ...]:
    """Types of an option: those named, and those of ``.txt`` files.

    A file has one type a line; empty lines and what follows ``#`` are left out.

    Raises
    ------
    InputError
        If a file cannot be read or names no type: an empty whitelist would let everything in.
    """
    found: dict[str, None] = {}
    for part in parts:
        found |= dict.fromkeys(_file_types(part) if part.endswith(_LIST_FILE) else [part])
    return tuple(found)


def _file_types(path: str) -> list[str]:
    complaint = "list of types cannot be read"
    try:
        text = read_text(path, complaint)
    except OSError as error:
        raise InputError(complaint, where=path, found=error) from None
    types = [line.partition("#")[0].strip() for line in text.splitlines()]
    if not any(types):
        raise InputError("list of types is empty", where=path, expected="one type a line")
    return [name for name in types if name]
