"""Paths of what is mounted, whatever scheme they were given with."""

from __future__ import annotations

import os
import re

__all__ = ["has_mounted_scheme", "mounted"]

_MOUNTED = re.compile(r"(file|dbfs):", re.IGNORECASE)


def has_mounted_scheme(path: str) -> bool:
    """Whether ``path`` begins with ``file:``, or with ``dbfs:``, which is mounted on ``/dbfs``."""
    return bool(_MOUNTED.match(path))


def mounted(path: str) -> str:
    """Local path without a scheme; any other path or URI as it is."""
    scheme = _MOUNTED.match(path)
    if scheme is None or os.path.exists(path):
        return path
    rest = path[scheme.end() :]
    if rest.startswith("/"):
        rest = "/" + rest.lstrip("/")
    if scheme[1].lower() == "dbfs" and not rest.startswith(("/Volumes/", "/dbfs/")):
        return "/dbfs/" + rest.lstrip("/")
    return rest
