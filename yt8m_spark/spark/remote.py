"""Files on storage that is not mounted, named by URIs: found by pattern, opened, read ahead.

A key is a path below the bucket, container or host, without a slash in front.
"""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import IO, Any, NamedTuple, cast

from yt8m_spark.errors import InputError
from yt8m_spark.formats.shards import expand_braces
from yt8m_spark.spark.stores import Entry, Store, connect, one_line_errors

__all__ = ["is_remote_folder", "match_remote", "open_remote"]

_URI = re.compile(r"([^:/]+)://([^/]*)/*(.*)", re.DOTALL)
# A request takes tens of milliseconds, so it should fetch what takes as long.
_READ_AHEAD = 4 << 20
_IN_FOLDER = "*.tfrecord*"


class _Location(NamedTuple):
    """What a URI names."""

    store: Store
    root: str  # the URI in front of the key
    key: str


def match_remote(pattern: str) -> list[tuple[str, int]]:
    """URI and size of every file that ``pattern`` means, in order.

    Raises
    ------
    InputError
        If there is none, or the storage cannot be reached, refuses or has no such bucket.
    """
    store, root, key = _locate(pattern)
    found = store.find(key)
    patterns = expand_braces(key)
    if found is not None:
        files = _files_at(store, found)
    else:
        if patterns == [key] and not glob.has_magic(key):
            raise InputError("no such file or folder", where=pattern)
        entries = {entry for one in patterns for entry in _walk(store, "", one.split("/"))}
        files = {file for entry in entries for file in _files_at(store, entry)}
    if found and not files:
        raise InputError("folder holds no shards", where=pattern, expected=_IN_FOLDER, found="none")
    if not files:
        raise InputError("no file matches the pattern", where=pattern)
    return sorted((root + file.key, file.size) for file in files)


def open_remote(uri: str) -> IO[bytes]:
    """Open a file for reading, read ahead.

    Raises
    ------
    InputError
        If there is no such file, or it cannot be opened. Reading raises it too.
    """
    store, _, key = _locate(uri)
    with one_line_errors(uri, "cannot be opened"):
        raw = _RawFile(store.open(key), uri)
    return cast("IO[bytes]", io.BufferedReader(raw, _READ_AHEAD))


def is_remote_folder(uri: str) -> bool:
    """Whether keys lie below ``uri``.

    Raises
    ------
    InputError
        If the storage cannot be reached.
    """
    store, _, key = _locate(uri)
    entry = store.find(key)
    return entry is not None and entry.is_folder


class _RawFile(io.RawIOBase):
    """A remote file, its errors told in one line."""

    def __init__(self, file: IO[bytes], uri: str) -> None:
        self._file = file
        self._uri = uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with one_line_errors(self._uri, "cannot be read"):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with one_line_errors(self._uri, "cannot be read"):
            self._file.seek(offset, whence)
            return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _locate(uri: str) -> _Location:
    """Storage, root and key of a URI."""
    parts = _URI.match(uri)
    if parts is None:
        raise InputError("not a URI", where=uri, expected="scheme://bucket/path")
    scheme, host, key = parts.groups()
    return _Location(connect(scheme, host, uri), f"{scheme}://{host}/", key.rstrip("/"))


def _files_at(store: Store, entry: Entry) -> set[Entry]:
    """``entry``, or the shards in it if it is a folder."""
    if not entry.is_folder:
        return {entry}
    inside = _matching(store.entries(entry.key), _IN_FOLDER)
    return {file for file in inside if not file.is_folder and not file.name.startswith("_")}


def _walk(store: Store, folder: str, parts: Sequence[str]) -> Iterator[Entry]:
    """What a pattern, cut at its slashes, means below ``folder``; lists no more than it must."""
    first, *rest = parts
    below = f"{folder}/" if folder else ""
    if first == "**":
        yield from _walk(store, folder, rest or ["*"])
        for entry in _matching(store.entries(folder), "*"):
            if entry.is_folder and entry.key != folder:  # as one would be below a key with //
                yield from _walk(store, entry.key, parts)
    elif not glob.has_magic(first):
        if rest:
            yield from _walk(store, below + first, rest)
        elif (entry_there := store.find(below + first)) is not None:
            yield entry_there
    else:
        for entry in _matching(store.entries(folder), first):
            if rest and entry.is_folder:
                yield from _walk(store, entry.key, rest)
            elif not rest and not entry.name.startswith((".", "_")):
                yield entry


def _matching(entries: Sequence[Entry], pattern: str) -> Iterator[Entry]:
    """Entries whose name is meant; a name with a dot in front only if the pattern has it too."""
    pattern = pattern.replace("[^", "[!")  # as Hadoop writes it
    for entry in entries:
        hidden = entry.name.startswith(".") and not pattern.startswith(".")
        if entry.name and not hidden and fnmatchcase(entry.name, pattern):
            yield entry
