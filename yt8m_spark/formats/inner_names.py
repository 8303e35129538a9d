"""Names of files that a file gives: each must be of a file in the same folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from yt8m_spark.errors import InputError

__all__ = ["file_inside"]


def file_inside(folder: Path, name: str, where: str) -> Path:
    """Path of the file ``name`` in ``folder`` or below, a name that was read from ``where``.

    A table or model may come from anywhere; a name in it must not have another file of this
    machine read, sent or replaced.

    Raises
    ------
    InputError
        If the name is absolute, has ``..`` in it, or leads out of the folder by a link.
    """
    # Both kinds of paths: what is written on one system may be read on another.
    kinds = PurePosixPath(name), PureWindowsPath(name)
    leads_out = any(kind.anchor or ".." in kind.parts for kind in kinds)
    if leads_out or name in ("", ".") or "\0" in name:
        expected = "a file in its folder"
        raise InputError("name leads elsewhere", where=where, expected=expected, found=repr(name))
    path = folder / name
    if not _is_inside(path, folder):
        expected, found = "a file in its folder", f"{name!r}, by way of a link"
        raise InputError("name leads elsewhere", where=where, expected=expected, found=found)
    return path


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle; signs that no file has
        return False
