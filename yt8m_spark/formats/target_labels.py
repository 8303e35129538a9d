"""Labels of other datasets (paper §5.3, §5.4): Sports-1M's lists, ActivityNet's JSON, a CSV.

Each is read to the same rows, a video each: its id, the numbers of its labels, its split and where
it stands in its file.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yt8m_spark.errors import InputError
from yt8m_spark.formats.small_text import open_lines, parse_json, read_text
from yt8m_spark.formats.vocabulary import Vocabulary

__all__ = ["FORMATS", "SPLITS", "LabelledVideo", "read_target_labels", "split_name", "video_of_url"]

FORMATS = ("table", "sports1m", "activitynet")
SPLITS = ("train", "validate", "test")

_SPLIT_NAMES = {
    "training": "train",
    "val": "validate",
    "valid": "validate",
    "validation": "validate",
    "testing": "test",
}
# watch?v=ID, anywhere among the parameters; youtu.be/ID, /embed/ID, /v/ID, /shorts/ID; or the id.
_URL = re.compile(
    r"(?:https?://)?(?:www\.|m\.)?(?:youtube(?:-nocookie)?\.com/"
    r"(?:watch/?\?(?:[^#\s]*&)?v=|embed/|v/|shorts/)|youtu\.be/)([\w-]{11})(?![\w-])"
)
_ID = re.compile(r"[\w-]{11}")
_LARGEST = 2**31 - 1  # labels are int columns
_COMPLAINT = "labels cannot be read"


class LabelledVideo(NamedTuple):
    """One row of a file of labels."""

    video_id: str
    labels: tuple[int, ...]  # ascending, each once; none where the file has none
    split: str  # of `SPLITS`
    place: str  # file and line, for messages


def read_target_labels(
    paths: Sequence[str], kind: str, classes: Vocabulary | None = None
) -> Iterator[LabelledVideo]:
    """Rows of the files ``paths``, one by one; what is held of a list or CSV is a line.

    Parameters
    ----------
    paths : sequence of str
    kind : str
        "sports1m": lines of a URL and numbers, ``https://www.youtube.com/watch?v=ID 12,34``; the
        file's name has "train", "val" or "test" in it and tells the split. "activitynet": the JSON
        of the challenge; the subset is the split, and a video's labels are those of its
        annotations. "table": a CSV with the columns video_id, labels, split, labels separated by
        ``|``.
    classes : Vocabulary, optional
        Numbers that may come, and names, where labels are names. ActivityNet's names are numbered
        in their order, where it is not given.

    Raises
    ------
    InputError
        If a file cannot be read or is none of its kind, a URL has no video id, or a label is not
        one of ``classes``, or the name of two of them. It names the file, the line and the video.
        If there are no ``classes`` for several files of names, which each would number anew.
    """
    readers: dict[str, Callable[[str, Vocabulary | None], Iterator[LabelledVideo]]] = {
        "sports1m": _sports1m,
        "activitynet": _activitynet,
        "table": _csv,
    }
    if kind == "activitynet" and classes is None and len(paths) > 1:
        what = "names would have other numbers in each file"
        raise InputError(what, where=", ".join(paths), expected="a list of classes (--vocabulary)")
    for path in paths:
        try:
            yield from readers[kind](path, classes)
        except FileNotFoundError:
            raise InputError("no such file of labels", where=path) from None
        except (OSError, csv.Error) as error:
            raise InputError(_COMPLAINT, where=path, found=error) from None


def video_of_url(url: str) -> str | None:
    """The 11 characters that YouTube knows a video by, from a URL of any usual form, or as such."""
    if _ID.fullmatch(url):
        return url
    found = _URL.match(url)
    return found.group(1) if found else None


def split_name(name: str) -> str | None:
    """One of `SPLITS` for a dataset's own word, such as "validation"; None for any other."""
    lower = name.strip().lower()
    known = _SPLIT_NAMES.get(lower, lower)
    return known if known in SPLITS else None


def _sports1m(path: str, classes: Vocabulary | None) -> Iterator[LabelledVideo]:
    split = _split_of_file(path)
    parse = _parser(classes, names=False)
    with open_lines(path, _COMPLAINT) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            url, *rest = line.split(maxsplit=1)
            where = f"{path}, line {number}"
            video_id = video_of_url(url)
            if video_id is None:
                expected = "https://www.youtube.com/watch?v=ID, an ID of 11 characters"
                raise InputError("no video id", where=where, expected=expected, found=url[:80])
            labels = rest[0].split(",") if rest else []
            yield LabelledVideo(video_id, parse(labels, where, video_id), split, where)


def _split_of_file(path: str) -> str:
    """Split that the name of a file tells."""
    name = Path(path).name.lower()
    found = {split_name(word) for word in ("train", "val", "test") if word in name} - {None}
    if len(found) != 1:
        expected = "a name with train, val or test in it, as train_partition.txt"
        raise InputError("the file's name does not tell the split", where=path, expected=expected)
    return str(found.pop())


def _activitynet(path: str, classes: Vocabulary | None) -> Iterator[LabelledVideo]:
    read = parse_json(read_text(path, "not a JSON file"), path)
    database = read.get("database") if isinstance(read, dict) else None
    if not isinstance(database, dict):
        raise InputError("not ActivityNet's labels", where=path, expected="an object 'database'")
    videos = {video_id: _annotated(path, video_id, told) for video_id, told in database.items()}
    names = sorted({name for _, labels in videos.values() for name in labels})
    parse = _parser(classes, names=True, numbered={name: n for n, name in enumerate(names)})
    for video_id, (split, labels) in videos.items():
        where = f"{path}, video {video_id}"
        yield LabelledVideo(video_id, parse(labels, where, video_id), split, where)


def _annotated(path: str, video_id: str, told: Any) -> tuple[str, list[str]]:
    """Split and names of the labels of one video of ActivityNet."""
    try:
        split = split_name(told["subset"])
        labels = [annotation["label"] for annotation in told.get("annotations") or ()]
        if split is None or not all(isinstance(label, str) for label in labels):
            raise TypeError(f"subset {told['subset']!r}, labels {labels!r}")
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(
            "not a video of ActivityNet",
            where=f"{path}, video {video_id}",
            expected="a subset (training, validation or testing), annotations with a label each",
            found=str(error)[:80],
        ) from None
    return split, labels


def _csv(path: str, classes: Vocabulary | None) -> Iterator[LabelledVideo]:
    parse = _parser(classes, names=classes is not None)
    with open_lines(path, _COMPLAINT) as lines:
        rows = csv.reader(lines, strict=True)
        header = [name.strip() for name in next(rows, [])]
        wanted = ("video_id", "labels", "split")
        missing = [name for name in wanted if name not in header]
        if missing:
            found = ", ".join(header)[:80]
            expected = ", ".join(wanted)
            raise InputError(f"no column {missing[0]}", where=path, expected=expected, found=found)
        at_id, at_labels, at_split = (header.index(name) for name in wanted)
        for number, row in enumerate(rows, start=1):
            if not row:
                continue
            where = f"{path}, row {number}"
            if len(row) != len(header):
                expected = f"{len(header)} columns"
                raise InputError("malformed row", where=where, expected=expected, found=len(row))
            video_id, split = row[at_id].strip(), split_name(row[at_split])
            if not video_id:
                raise InputError("no video id", where=where)
            if split is None:
                expected = " or ".join(SPLITS)
                raise InputError(
                    "no such split", where=where, expected=expected, found=row[at_split]
                )
            labels = parse(row[at_labels].split("|"), where, video_id)
            yield LabelledVideo(video_id, labels, split, where)


Parse = Callable[[Sequence[str], str, str], tuple[int, ...]]


def _parser(
    classes: Vocabulary | None, *, names: bool, numbered: dict[str, int] | None = None
) -> Parse:
    """What turns labels, as texts, into numbers; ``numbered`` are names without ``classes``."""
    known = None if classes is None else set(classes.entities.tolist())
    of_name = dict(numbered or {})
    if classes is not None:
        of_name = {name: entity for entity, name in classes.names.items()} if names else {}

    times = Counter(classes.names.values() if classes is not None and names else ())
    of_two = {name for name, n in times.items() if n > 1}

    def number_of(text: str) -> int | None:
        if text in of_name:
            return of_name[text]
        if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST))):
            return None
        number = int(text)
        return number if number <= _LARGEST and (known is None or number in known) else None

    def parse(texts: Sequence[str], where: str, video_id: str) -> tuple[int, ...]:
        found: set[int] = set()
        for text in filter(None, map(str.strip, texts)):
            number = number_of(text)
            if text in of_two:
                what = f"label of video {video_id} is the name of two classes"
                raise InputError(what, where=where, expected="a number", found=text)
            if number is None:
                expected = (
                    "a number from 0" if classes is None else f"one of {len(known or ())} classes"
                )
                raise InputError(
                    f"unknown label of video {video_id}", where=where, expected=expected, found=text
                )
            found.add(number)
        return tuple(sorted(found))

    return parse
