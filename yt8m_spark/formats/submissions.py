"""Submissions to the YouTube-8M challenges: CSV files of labels of videos or of segments (2019).

A video submission has the header ``VideoId,LabelConfidencePairs`` and one line a video, labels and
confidences in turn, best first; a segment submission has the header ``Class,Segments`` and one line
an entity, its segments as ``video:start`` (seconds), best first::

    -0zGs,12 0.93 4 0.5 305 0.0103
    305,-0zGs:45 xwAc:0 -0zGs:120

Both may be gzip'ed. `submission_writer` writes them. Axes: K pairs of a line, S segments of a line.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple, TypeVar, cast

from yt8m_spark.errors import InputError
from yt8m_spark.formats.framing import HEADER, is_gzip
from yt8m_spark.formats.small_text import bounded_lines

__all__ = [
    "SEGMENT_HEADER",
    "VIDEO_HEADER",
    "EntitySegments",
    "VideoPredictions",
    "check_id",
    "read_segment_submission",
    "read_video_submission",
]

VIDEO_HEADER = "VideoId,LabelConfidencePairs"
SEGMENT_HEADER = "Class,Segments"

Value = TypeVar("Value")

_LARGEST = 2**31 - 1  # entities and start times are int columns
_LONGEST_LINE = 64 << 20  # bytes: some 4 million segments of an entity
_ID = re.compile(r'[^\s,"]+')
# int() and float() also take 1_0, nan, infinity and other scripts' digits.
_NUMBERS = re.compile(r"[0-9 .eE+-]*", re.ASCII)
_NUMBER = re.compile(r"[0-9.eE+-]+", re.ASCII)
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)


class VideoPredictions(NamedTuple):
    """A line of a video submission."""

    video_id: str
    entities: Sequence[int]  # (K,), each once
    scores: Sequence[float]  # (K,) in [0, 1]


class EntitySegments(NamedTuple):
    """A line of a segment submission."""

    entity: int
    video_ids: Sequence[str]  # (S,)
    start_times: Sequence[int]  # (S,) seconds; (video, start time) each once, best first


def read_video_submission(file: IO[bytes], name: str) -> Iterator[VideoPredictions]:
    """Lines of a video submission, one at a time, in the order of the file.

    The ids seen are held to find one that comes twice: some 100 MB for the 1.1 million videos of
    the test split.

    Parameters
    ----------
    file : binary file
        Open at its start; gzip is told by the bytes. The pairs of a line may be in any order.
    name : str
        What errors call the file.

    Raises
    ------
    InputError
        With file and line (from 1, the header), for another header, a line that is no id and
        pairs, an odd number of values, an entity that is no whole number of 0 .. 2**31 - 1 or comes
        twice, a confidence that is no number in [0, 1] (NaN neither), an id that comes twice, and
        damaged gzip data.
    """
    seen: set[str] = set()
    for where, video_id, rest in _lines(file, name, VIDEO_HEADER):
        if video_id in seen:
            raise InputError(f"video {video_id!r} comes twice", where=where)
        seen.add(video_id)
        yield VideoPredictions(video_id, *_pairs(rest, where))


def read_segment_submission(file: IO[bytes], name: str) -> Iterator[EntitySegments]:
    """Lines of a segment submission, one at a time, in the order of the file.

    Parameters
    ----------
    file, name
        As for `read_video_submission`.

    Raises
    ------
    InputError
        As `read_video_submission`; here for an entity or a segment of an entity that comes twice
        and a segment that is not ``video:start``.
    """
    seen: set[int] = set()
    for where, text, rest in _lines(file, name, SEGMENT_HEADER):
        entity = _whole_number(text, "entity", where)
        if entity in seen:
            raise InputError(f"entity {entity} comes twice", where=where)
        seen.add(entity)
        yield EntitySegments(entity, *_segments(rest, where))


def _lines(file: IO[bytes], name: str, header: str) -> Iterator[tuple[str, str, str]]:
    """Place, text before and text after the comma of each line; empty lines are skipped."""
    number = 0
    try:
        lines = _unzipped(file)
        first = lines.readline(200).decode("utf-8-sig", "replace").strip()
        if first != header:
            raise InputError("wrong header", where=name, expected=header, found=repr(first[:60]))
        text_lines = bounded_lines(lines, name, _LONGEST_LINE, start=2)
        for number, line in enumerate(text_lines, start=2):
            text = line.decode("utf-8").strip()
            if text:
                yield _split_line(text, f"{name}, line {number}")
    except _DAMAGED as error:
        raise InputError(
            "damaged gzip data", where=f"{name}, line {number + 1}", found=error
        ) from None
    except UnicodeDecodeError as error:
        where = f"{name}, line {number}"
        raise InputError("line is no text", where=where, found=error) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=name) from None


def _unzipped(file: IO[bytes]) -> IO[bytes]:
    head = file.read(HEADER.size)
    file.seek(0)
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if is_gzip(head) else file


def _split_line(text: str, where: str) -> tuple[str, str, str]:
    key, comma, rest = text.partition(",")
    if not comma or "," in rest or _ID.fullmatch(key) is None:
        expected = "an id, one comma and what belongs to it"
        raise InputError("malformed line", where=where, expected=expected, found=repr(text[:60]))
    return where, key, rest


def _pairs(text: str, where: str) -> tuple[list[int], list[float]]:
    """Entities and scores of a line; looks at single values only if one is wrong."""
    words = text.split()
    if len(words) % 2:
        expected = "pairs of label and confidence"
        raise InputError("odd number of values", where=where, expected=expected, found=len(words))
    try:
        entities, scores = list(map(int, words[::2])), list(map(float, words[1::2]))
    except ValueError:
        raise _fault(words, where) from None
    if not words:
        return entities, scores
    # Those digits leave no NaN, of which min and max would make anything.
    numbers = _NUMBERS.fullmatch(text) is not None
    ids_fit = min(entities) >= 0 and max(entities) <= _LARGEST
    if not (numbers and ids_fit and min(scores) >= 0 and max(scores) <= 1):
        raise _fault(words, where)
    if len(set(entities)) < len(entities):
        raise InputError(f"label {_twice(entities)} comes twice", where=where)
    return entities, scores


def _fault(words: Sequence[str], where: str) -> InputError:
    """What is wrong with the first wrong value of ``words``."""
    for label, confidence in zip(words[::2], words[1::2], strict=True):
        _whole_number(label, "label", where)
        try:
            good = _NUMBER.fullmatch(confidence) is not None and 0 <= float(confidence) <= 1
        except ValueError:
            good = False
        if not good:
            found = repr(confidence[:40])
            return InputError("bad confidence", where=where, expected="0 to 1", found=found)
    return InputError("malformed line", where=where, expected="values with spaces between them")


def _whole_number(text: str, what: str, where: str) -> int:
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST))
    if not digits or int(text) > _LARGEST:
        expected = f"a whole number of 0 .. {_LARGEST}"
        raise InputError(f"bad {what}", where=where, expected=expected, found=repr(text[:40]))
    return int(text)


def _segments(text: str, where: str) -> tuple[list[str], list[int]]:
    video_ids, start_times = [], []
    for word in text.split():
        video_id, _, start = word.rpartition(":")
        if not video_id:
            expected = "video:start"
            raise InputError("bad segment", where=where, expected=expected, found=repr(word[:40]))
        video_ids.append(video_id)
        start_times.append(_whole_number(start, "start time of a segment", where))
    segments = list(zip(video_ids, start_times, strict=True))
    if len(set(segments)) < len(segments):
        video_id, start_time = _twice(segments)
        raise InputError(f"segment {video_id}:{start_time} comes twice", where=where)
    return video_ids, start_times


def _twice(values: Sequence[Value]) -> Value:
    """First of ``values`` that stood before; there is one."""
    seen: set[Value] = set()
    for value in values:
        if value in seen:
            break
        seen.add(value)
    return value


def check_id(video_id: str) -> None:
    """Refuse an id that a reader could not tell from what stands around it.

    Raises
    ------
    InputError
        If it is empty or has a space, comma or quote in it.
    """
    if _ID.fullmatch(video_id) is None:
        expected = "no space, comma or quote in it"
        raise InputError("id cannot stand in a CSV", expected=expected, found=repr(video_id))
