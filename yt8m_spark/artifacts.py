"""Files of fitted values: whole or not at all, and never pickled."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
from yt8m_spark.formats.mounted_paths import mounted
from yt8m_spark.formats.small_text import parse_json, read_text
from yt8m_spark.leftovers import Claim, claimed, remove, remove_leftovers, remove_temporaries

__all__ = [
    "arrays_in_place",
    "check_output_free",
    "file_digest",
    "file_in_place",
    "load_arrays",
    "load_json",
    "load_table",
    "make_folder_of",
    "save_arrays",
    "save_json",
    "staged_file",
    "staged_output",
]


_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")  # s3:// and dbfs:/, but no Windows drive
_BRACES = re.compile(r"\{.*\}")

# What np.load raises on files cut short, with bits changed or of another kind.
_DAMAGED = (
    *(ValueError, TypeError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error),
    MemoryError,  # of a header that promises more than a machine has
)


def check_output_free(path: str, *, overwrite: bool, inputs: Sequence[str] = ()) -> None:
    """Refuse to write over something that is there, or over an input of the same job.

    Raises
    ------
    InputError
        If ``path`` exists and ``overwrite`` is not set, is a link, is an input or holds one (a
        pattern of files counts as all that it could match), is the working folder or holds it, or
        is of a file system that is not mounted: it would become a folder called ``s3:``.
    """
    if not path or _SCHEME.match(path):
        expected = "a path of a mounted file system"
        raise InputError("output is no path", expected=expected, found=path or "nothing")
    if Path(path).is_symlink():
        # Else the folder that it leads to would be replaced, which nobody has named.
        expected = f"the path that it leads to, {os.path.realpath(path)}, or another"
        raise InputError("output is a link", where=path, expected=expected)
    target = Path(path).resolve()
    if target in (Path.cwd(), *Path.cwd().parents):
        raise InputError("output would replace the working folder", found=path)
    for name in inputs:
        source = Path(_BRACES.sub("*", mounted(name)).partition("**")[0]).resolve()
        # ** means all that is there, and so what is in an old output.
        below = "**" in name and source in target.parents and target.exists()
        held = (source, *source.parents)
        if below or any(target == one or target.match(str(one)) for one in held):
            raise InputError("output would replace its own input", where=name, found=path)
    _refuse_existing(target, path, overwrite=overwrite)


def _refuse_existing(target: Path, path: str, *, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise InputError("output exists already", where=path, expected="a new path or --overwrite")


def make_folder_of(output: str) -> None:
    """Make the folder that ``output`` is to be in.

    Raises
    ------
    InputError
        If that cannot be done.
    """
    try:
        Path(output).resolve().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot make the folder of the output ({error.strerror})"
        raise InputError(what, where=output) from error


@contextmanager
def staged_output(
    path: str,
    *,
    overwrite: bool = True,
    run_id: str | None = None,
    killed: Callable[[str], object] = lambda _: None,
) -> Iterator[str]:
    """Give a temporary folder beside ``path`` to write into; rename it to ``path`` at the end.

    Without ``overwrite`` something that came to ``path`` in the meantime stays, with an InputError.

    If the body raises, the temporary folder is removed and whatever stood at ``path`` stays. If
    the process is killed, that is up to the next one that writes to ``path``: it calls ``killed``
    with the ``run_id``, of an MLflow run, of each that was.
    """
    target = Path(path).resolve()
    make_folder_of(path)
    for run in remove_leftovers(target):
        killed(run)
    _refuse_existing(target, path, overwrite=overwrite)  # it may have been put back just now
    with claimed(target, run_id) as claim:
        try:
            yield str(claim.staged)
            remove_temporaries(claim.staged)
            _replace(claim, target, overwrite=overwrite)
        finally:
            remove(claim.staged)
        # Of tasks that work on until now; from now on they find no folder to write to.
        remove_temporaries(target)


def _replace(claim: Claim, target: Path, *, overwrite: bool) -> None:
    """Put what is staged where ``target`` is; the old one goes only when it is in place."""
    if not claim.staged.exists():
        raise FileNotFoundError(f"nothing was written for {target}")
    try:
        if overwrite:
            with suppress(FileNotFoundError):  # nothing there, or another job is replacing it
                os.rename(target, claim.old)
        elif target.exists():  # of two folders the rename below refuses, too
            raise _made_meanwhile(target)
        os.rename(claim.staged, target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise _made_meanwhile(target) from error
        raise
    finally:  # a signal may come between any two of these lines
        if claim.old.exists() and not target.exists():
            os.rename(claim.old, target)
        remove(claim.old)


def _made_meanwhile(target: Path) -> InputError:
    return InputError("output was made by another job meanwhile", where=str(target))


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to; rename it to ``path`` at the end.

    Two tasks may write the same file at once, as Spark runs a slow one twice: the last one wins.
    If the body raises, nothing is left, and whatever stood at ``path`` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_in_place(path) as temporary:
        yield temporary


@contextmanager
def file_in_place(path: Path) -> Iterator[Path]:
    """As `staged_file`, in a folder that must be there.

    For tasks: one that outlives its job must not bring back the folder that the job removed.
    """
    # Unique: tasks on two machines may have one process number.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have ``path`` on the disk before its name: a power cut must not leave a name of nothing."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system that cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_digest(path: Path) -> str:
    """blake2b of the bytes of a file: 16 bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to one .npz file, by way of a temporary name.

    Raises
    ------
    ValueError
        If an array holds Python objects, which only pickle could write.
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"array {name!r} holds Python objects, expected numbers")
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays_in_place(path, arrays)


def arrays_in_place(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """As `save_arrays`, for tasks: in a folder that must be there (see `file_in_place`).

    Raises
    ------
    FileNotFoundError
        If it is not: the job is over.
    """
    with file_in_place(path) as temporary, temporary.open("wb") as file:
        # mypy: no array is called allow_pickle
        np.savez(_Forward(file), **arrays)  # type: ignore[arg-type]


class _Forward:
    """A file that is written from its start to its end: volumes of Databricks take nothing else.

    One that can be positioned has sizes put in afterwards.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write
        self.flush = file.flush
        self.read = file.read  # by which NumPy tells a file from a path


def load_arrays(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read the arrays ``names`` of an .npz file.

    Raises
    ------
    InputError
        If there is no such file, it is no .npz, or it lacks one of ``names``.
    """
    try:
        # Opened here: NumPy leaves the file open if it turns out to be cut short.
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names if name in file}
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except _DAMAGED as error:
        raise InputError("not an .npz file of arrays", where=str(path), found=error) from None
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(f"array {missing[0]!r} is missing", where=str(path))
    return arrays


def save_json(path: Path, value: object) -> None:
    """Write ``value`` as JSON for people to read, by way of a temporary name."""
    with staged_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def load_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        If there is no such file or it holds no JSON object, or one beyond the limits of
        `yt8m_spark.formats.small_text`.
    """
    try:
        value = parse_json(read_text(str(path), "not a JSON file"), str(path))
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except OSError as error:
        raise InputError("not a JSON file", where=str(path), found=error) from None
    if not isinstance(value, dict):
        raise InputError("not a JSON object", where=str(path), found=type(value).__name__)
    return value


def load_table(path: Path) -> pa.Table:
    """Read one Parquet file.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        # Not read_table, which takes folders called name=value for columns.
        return pq.ParquetFile(path).read()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError("not a Parquet file", where=str(path), found=error) from None
