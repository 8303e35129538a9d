"""Paths with names as people write them in an option: ``logistic=runs/a,moe=runs/b``."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["named_paths"]

_NAME = re.compile(r"[\w.-]+", re.ASCII)  # what MLflow takes in the name of a metric


def named_paths(parts: Iterable[str]) -> dict[str, str]:
    """Paths by name, in the order given.

    Raises
    ------
    ValueError
        If a part is not ``name=path``, a name has other signs than letters, digits and ``_.-``, or
        two have the same name: one would hide the other.
    """
    paths: dict[str, str] = {}
    for part in parts:
        name, equals, path = part.partition("=")
        if not equals or not path or _NAME.fullmatch(name) is None:
            raise ValueError(f"want name=path, a name of letters, digits and _.-, got {part!r}")
        if name in paths:
            raise ValueError(f"name {name!r} is given twice")
        paths[name] = path
    return paths
