"""What is local, what is remote, and how to find and open it: the one place that decides.

Local is what is mounted: a path, ``file:``, and ``dbfs:`` by way of its mount. Any other
``scheme://`` is remote (see `remote` and `stores`).
"""

from __future__ import annotations

import os
import re
from typing import IO, NamedTuple

from yt8m_spark.errors import InputError
from yt8m_spark.formats.mounted_paths import has_mounted_scheme, mounted
from yt8m_spark.formats.shards import match_shards
from yt8m_spark.masking import masked
from yt8m_spark.spark.remote import is_remote_folder, match_remote, open_remote

__all__ = [
    "ShardFile",
    "absolute",
    "is_folder",
    "is_remote",
    "match_files",
    "open_file",
    "read_whole",
    "told_address",
]

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")  # two letters: C: is a drive


class ShardFile(NamedTuple):
    """A file and how long it is."""

    path: str  # absolute, or a URI
    size: int  # bytes, as stored


def is_remote(path: str) -> bool:
    """Whether ``path`` is a URI of storage that is not mounted."""
    return bool(_SCHEME.match(path)) and not has_mounted_scheme(path) and not os.path.exists(path)


def told_address(path: str) -> str:
    """``path`` as a table may tell it: an address without its password and what signs it."""
    return masked(path) if is_remote(path) else path


def absolute(path: str) -> str:
    """The same path whatever folder the server and the tasks stand in; a URI as it is."""
    return path if is_remote(path) else os.path.join(os.getcwd(), mounted(path))


def match_files(pattern: str) -> list[ShardFile]:
    """Find the files of a path, URI or pattern, in order of their names.

    Patterns mean the same everywhere (see `formats.shards.match_shards`): a file, a folder of
    ``*.tfrecord*`` files, or ``*``, ``?``, ``[0-9]``, ``**`` and ``{a,b}``, hidden files left out.

    Raises
    ------
    InputError
        If nothing matches, or the storage cannot be reached, refuses or has no such bucket.
    """
    if is_remote(pattern):
        return [ShardFile(uri, size) for uri, size in match_remote(pattern)]
    paths = match_shards(mounted(pattern))
    try:
        return [ShardFile(path, os.path.getsize(path)) for path in paths]
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(error.filename)) from None


def open_file(path: str) -> IO[bytes]:
    """Open a file for reading bytes; use it in a ``with`` statement.

    A remote file is read ahead 4 MiB a request, however little is asked for.

    Raises
    ------
    InputError
        If there is no such file or it cannot be opened. Reading a remote file raises it too.
    """
    if is_remote(path):
        return open_remote(path)
    try:
        return open(mounted(path), "rb")
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from None


def read_whole(path: str) -> bytes:
    """Bytes of a small file: a vocabulary, not a shard.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        with open_file(path) as file:
            return file.read()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from None


def is_folder(path: str) -> bool:
    """Whether ``path`` is a folder; on object storage, whether keys lie below it.

    Raises
    ------
    InputError
        If remote storage cannot be reached.
    """
    return is_remote_folder(path) if is_remote(path) else os.path.isdir(mounted(path))
