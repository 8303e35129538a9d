"""Which files a pattern means."""

from __future__ import annotations

import glob
import os
import re

from yt8m_spark.errors import InputError

__all__ = ["expand_braces", "match_shards", "shard_name"]

_BRACES = re.compile(r"\{([^{}]*)\}")  # innermost
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):")
_IN_FOLDER = "*.tfrecord*"
_WEB = re.compile(r"https?://", re.IGNORECASE)


def shard_name(path: str) -> str:
    """File name of a shard; of an address of the web without its query: that may sign it."""
    return os.path.basename(path.partition("?")[0] if _WEB.match(path) else path)


def match_shards(pattern: str) -> list[str]:
    """Find the files of a path or pattern, as absolute paths in order of their names.

    Parameters
    ----------
    pattern : str
        A file, a folder (every ``*.tfrecord*`` file right in it) or a pattern of files and
        folders with ``*``, ``?``, ``[0-9]``, ``[!0-9]``, ``**`` and ``{a,b}``. A ``file:`` in
        front is allowed. A file that exists under the very name wins over the pattern. Files
        whose names start with ``.`` or ``_`` are matched only by name: they are being written.

    Returns
    -------
    list of str
        Each file once.

    Raises
    ------
    InputError
        If the path is not there, nothing matches, or it is of a file system that is not mounted.
    """
    path = _local(pattern)
    if os.path.exists(path):
        files = _files_at(path)
        if not files:
            raise InputError(
                "folder holds no shards", where=pattern, expected=_IN_FOLDER, found="none"
            )
        return sorted(files)
    patterns = expand_braces(path)
    if patterns == [path] and not glob.has_magic(path):
        raise InputError("no such file or folder", where=pattern)
    matches = {match for one in patterns for match in _visible(one)}
    files = {file for match in matches for file in _files_at(match)}
    if not files:
        raise InputError("no file matches the pattern", where=pattern)
    return sorted(files)


def _local(pattern: str) -> str:
    """Path without ``file:``."""
    scheme = _SCHEME.match(pattern)
    if scheme is None or os.path.exists(pattern):
        return pattern
    if scheme[1].lower() != "file":
        raise InputError(
            "not a path of a mounted file system",
            where=pattern,
            expected="a path that every task can open",
            found=f"{scheme[1]}:",
        )
    path = pattern[scheme.end() :]
    return "/" + path.lstrip("/") if path.startswith("/") else path


def _files_at(path: str) -> set[str]:
    """The file at ``path``, or the shards in the folder there."""
    if not os.path.isdir(path):
        return {os.path.abspath(path)}
    inside = _visible(os.path.join(glob.escape(path), _IN_FOLDER))
    return {os.path.abspath(file) for file in inside if os.path.isfile(file)}


def _visible(pattern: str) -> list[str]:
    """Matches of one pattern, less the hidden ones (unless it is a name)."""
    # Hadoop writes [^..] for what Python's glob writes [!..].
    found = glob.glob(pattern.replace("[^", "[!"), recursive=True)
    if not glob.has_magic(os.path.basename(pattern)):
        return found
    return [path for path in found if not os.path.basename(path).startswith((".", "_"))]


def expand_braces(pattern: str) -> list[str]:
    """Every pattern that one with ``{a,b}`` stands for."""
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    before, after = pattern[: match.start()], pattern[match.end() :]
    return [one for part in match[1].split(",") for one in expand_braces(before + part + after)]
