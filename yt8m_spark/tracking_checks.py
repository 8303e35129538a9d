"""Reading the description of a run, and entries, that wait in files: they may be damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yt8m_spark.artifacts import load_json
from yt8m_spark.errors import InputError
from yt8m_spark.formats.small_text import parse_json
from yt8m_spark.tracking_entries import Entry

__all__ = ["read_entries", "read_run"]

Check = Callable[[Any], bool]

_STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
_LARGEST = 2**63  # a store keeps whole numbers in 64 bits
_SHOWN = 60  # characters of what was found


def read_run(path: Path) -> dict[str, Any]:
    """Description of a run that waits.

    Raises
    ------
    InputError
        If a part of it is missing or damaged, or nothing says which run it is.
    """
    described = load_json(path)
    where = str(path)
    _refuse_unless(_is_object(_RUN)(described), described, where, "the description of a run")
    if described["run_id"] is None and described["new"] is None:
        raise InputError("no run is named", where=where, expected="run_id or new")
    return described


def read_entries(path: Path) -> list[Entry]:
    """Entries, a line each; a last line without its end is none: there the disk was full.

    Raises
    ------
    InputError
        If there is none, or a line is no entry of `yt8m_spark.tracking_entries`.
    """
    try:
        *lines, _cut_short = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except OSError as error:
        raise InputError("cannot be read", where=str(path), found=error.strerror) from None
    if not lines:
        raise InputError("no entry waits", where=str(path))
    return [_entry(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def _entry(line: bytes, where: str) -> Entry:
    try:
        entry: Entry = parse_json(line.decode(), where)
    except UnicodeDecodeError as error:
        raise InputError("not a line of JSON", where=where, found=error) from None
    kind = entry.get("kind") if isinstance(entry, dict) else None
    if not (_is_text(kind) and kind in _ENTRIES):
        _refuse_unless(False, entry, where, f"an entry, one of {', '.join(_ENTRIES)}")
    parts = {"kind": _is_text, **_ENTRIES[str(kind)]}
    _refuse_unless(_is_object(parts)(entry), entry, where, f"an entry of {kind}")
    return entry


def _refuse_unless(fits: bool, value: object, where: str, expected: str) -> None:
    if not fits:
        found = json.dumps(value)
        found = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}..."
        raise InputError("damaged", where=where, expected=expected, found=found)


def _is_text(value: object) -> bool:
    """Text that UTF-8 and paths have."""
    return isinstance(value, str) and not any(
        letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value
    )


def _is_name(value: object) -> bool:
    return _is_text(value) and value != ""


def _is_whole(value: object) -> bool:
    return type(value) is int and -_LARGEST <= value < _LARGEST


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_number(value: object) -> bool:
    return type(value) is float or _is_whole(value)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _is_object(parts: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Check of an object that has all of ``parts``, and beside them nothing but ``optional``."""
    known = {**parts, **(optional or {})}
    return lambda value: (
        isinstance(value, dict)
        and parts.keys() <= value.keys() <= known.keys()
        and all(known[key](part) for key, part in value.items())
    )


def _is_map(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_name(key) and _is_text(text) for key, text in value.items()
    )


def _is_list(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _is_figure(value: object) -> bool:
    """Name, value, time and step."""
    checks = (_is_name, _is_number, _is_count, _is_whole)
    return (
        isinstance(value, list)
        and len(value) == len(checks)
        and all(check(part) for check, part in zip(checks, value, strict=True))
    )


_TEXT_OR_NONE = _or_none(_is_text)

_RUN: dict[str, Check] = {
    "tracking_uri": _is_name,
    "run_id": _or_none(_is_name),
    "new": _or_none(
        _is_object(
            {
                "name": _is_text,
                "experiment": _is_name,
                "tags": _is_map,
                "start_time": _is_count,
                "mark": _is_name,
            }
        )
    ),
    "n_sent": _is_count,
}

_DATASET: dict[str, Check] = {
    "name": _is_text,
    "digest": _is_text,
    "source_type": _is_text,
    "source": _is_text,
    "schema": _TEXT_OR_NONE,
    "profile": _TEXT_OR_NONE,
    "context": _is_text,
}

_MODEL_FILES = {"whitening": _is_name, "calibration": _is_name}

_ENTRIES: dict[str, dict[str, Check]] = {  # the parts of each kind
    "metrics": {"values": _is_list(_is_figure)},
    "params": {"values": _is_map},
    "tags": {"values": _is_map},
    "artifact": {
        "files": _is_object({"file": _is_name}),
        "folder": _TEXT_OR_NONE,
        "is_table": _is_bool,
    },
    "inputs": {"values": _is_list(_is_object(_DATASET))},
    "model": {
        "name": _is_name,
        "register": _TEXT_OR_NONE,
        "alias": _TEXT_OR_NONE,
        "files": _is_object({"entity_model": _is_name}, _MODEL_FILES),
    },
    "end": {"status": _STATUSES.__contains__, "time": _is_count},
}
