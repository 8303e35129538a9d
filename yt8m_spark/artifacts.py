"""Files of fitted values: whole or not at all, and never pickled."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError

__all__ = [
    "check_output_free",
    "load_arrays",
    "load_json",
    "save_arrays",
    "save_json",
    "staged_output",
]


def check_output_free(path: str, *, overwrite: bool, inputs: Sequence[str] = ()) -> None:
    """Refuse to write over something that is there, or over an input of the same job.

    Raises
    ------
    InputError
        If ``path`` exists and ``overwrite`` is not set, is an input, or holds one.
    """
    target = Path(path).resolve()
    for name in inputs:
        source = Path(name).resolve()
        if source == target or target in source.parents:
            raise InputError("output would replace its own input", where=name, found=path)
    if target.exists() and not overwrite:
        raise InputError("output exists already", where=path, expected="a new path or --overwrite")


@contextmanager
def staged_output(path: str) -> Iterator[str]:
    """Give a temporary folder beside ``path`` to write into; rename it to ``path`` at the end.

    If the body raises, the temporary folder is removed and whatever stood at ``path`` stays.
    """
    target = Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.parent / f".{target.name}.{os.getpid()}.tmp"
    shutil.rmtree(staged, ignore_errors=True)
    try:
        yield str(staged)
        _replace(staged, target)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _replace(staged: Path, target: Path) -> None:
    """Put ``staged`` where ``target`` is; the old one goes only when the new one is in place."""
    old = target.parent / f".{target.name}.{os.getpid()}.old"
    if target.exists():
        os.rename(target, old)
    os.rename(staged, target)
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink(missing_ok=True)


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to one .npz file, by way of a temporary name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    os.replace(temporary, path)


def load_arrays(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read the arrays ``names`` of an .npz file.

    Raises
    ------
    InputError
        If there is no such file, it is no .npz, or it lacks one of ``names``.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except KeyError as missing:
        raise InputError(f"array {missing} is missing", where=str(path)) from None
    except (ValueError, OSError, EOFError) as error:
        raise InputError("not an .npz file of arrays", where=str(path), found=error) from None


def save_json(path: Path, value: object) -> None:
    """Write ``value`` as JSON for people to read, by way of a temporary name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
    os.replace(temporary, path)


def load_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        If there is no such file or it holds no JSON object.
    """
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except (ValueError, OSError) as error:
        raise InputError("not a JSON file", where=str(path), found=error) from None
    if not isinstance(value, dict):
        raise InputError("not a JSON object", where=str(path), found=type(value).__name__)
    return value
