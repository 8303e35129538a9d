"""What a table was converted from: one entry a shard, so that later runs can tell what is new."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple, get_type_hints

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.errors import InputError
from yt8m_spark.formats.inner_names import file_inside
from yt8m_spark.formats.shards import shard_name

__all__ = [
    "MANIFEST",
    "QUARANTINE",
    "Manifest",
    "ShardEntry",
    "check_manifest",
    "digest_of",
    "load_manifest",
    "save_manifest",
]

# Names with an underscore: Spark leaves them out of the table.
MANIFEST = "_manifest.json"
QUARANTINE = "_quarantine"

_FORMAT = 1
_BYTES_A_READ = 1 << 20


class ShardEntry(NamedTuple):
    """One shard and the part of the table that its records became."""

    path: str  # of a signed address without what signs it
    n_bytes: int
    sha256: str  # of the file as it is, zipped or not
    records: int  # good ones, the rows of the part (with those of corrupt records, if any)
    bad_records: int
    part: str  # file name in the table's folder
    part_bytes: int
    part_sha256: str


class Manifest(NamedTuple):
    """All shards of a table and the options they were converted with."""

    options: dict[str, str]
    shards: dict[str, ShardEntry]  # by path


_TYPES = get_type_hints(ShardEntry)


def save_manifest(folder: Path, options: Mapping[str, str], shards: Sequence[ShardEntry]) -> None:
    """Write ``_manifest.json`` in ``folder``, shards in order of their paths."""
    entries = sorted(shards)
    totals = {
        "shards": len(entries),
        "bytes": sum(entry.n_bytes for entry in entries),
        "records": sum(entry.records for entry in entries),
        "bad_records": sum(entry.bad_records for entry in entries),
    }
    described = [entry._asdict() | {"shard": shard_name(entry.path)} for entry in entries]
    save_json(
        folder / MANIFEST,
        {"format": _FORMAT, "options": dict(options), "totals": totals, "shards": described},
    )


def load_manifest(folder: Path) -> Manifest | None:
    """Manifest of the table in ``folder``; None if it has none.

    Raises
    ------
    InputError
        If it is damaged or of another format, or names a part outside the folder.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    value = load_json(path)
    try:
        if value["format"] != _FORMAT:
            raise InputError(
                "manifest is of another format",
                where=str(path),
                expected=_FORMAT,
                found=value["format"],
            )
        entries = [_entry(one) for one in value["shards"]]
        for entry in entries:
            file_inside(folder, entry.part, str(path))
        return Manifest(dict(value["options"]), {entry.path: entry for entry in entries})
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("not a manifest", where=str(path), found=repr(error)) from None


def check_manifest(folder: Path) -> None:
    """Refuse a table that lacks a part of its manifest, or has one of another size.

    Spark would read what is left without a word.

    Raises
    ------
    InputError
        Names the part and the shard that it came from.
    """
    manifest = load_manifest(folder)
    if manifest is None:
        return
    for entry in manifest.shards.values():
        part = folder / entry.part
        found = part.stat().st_size if part.exists() else None
        if found != entry.part_bytes:
            raise InputError(
                f"part of shard {entry.path} is not as it was written",
                where=str(part),
                expected=f"{entry.part_bytes} bytes",
                found="no file" if found is None else f"{found} bytes",
            )


def _entry(described: Mapping[str, object]) -> ShardEntry:
    """Entry as JSON has it; ValueError if a value is of another type."""
    entry = ShardEntry(**{name: described[name] for name in ShardEntry._fields})  # type: ignore[arg-type]
    for name, value in entry._asdict().items():
        if type(value) is not _TYPES[name]:
            raise ValueError(f"{name} is {value!r}")
    return entry


def digest_of(file: IO[bytes]) -> tuple[str, int]:
    """SHA-256, in hexadecimal, and size of what is left of ``file``."""
    state, n_bytes = hashlib.sha256(), 0
    while chunk := file.read(_BYTES_A_READ):
        state.update(chunk)
        n_bytes += len(chunk)
    return state.hexdigest(), n_bytes
