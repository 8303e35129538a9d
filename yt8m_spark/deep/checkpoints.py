"""What a training goes on from: weights, optimizer and place, whole or not at all, the newest N.

    <folder>/00001200/  weights.safetensors  optimizer.safetensors  average.safetensors  state.json

state.json holds the place, what the checkpoint belongs to, and a digest of each of the files: one
that lost its end to a crash is passed over, and kept as .torn-00001200.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from yt8m_spark.artifacts import file_digest, save_json, staged_output
from yt8m_spark.deep.learner import LearnerState
from yt8m_spark.errors import InputError

__all__ = [
    "Place",
    "list_checkpoints",
    "load_checkpoint",
    "newest_whole",
    "remove_later",
    "remove_models_after",
    "save_checkpoint",
]

_STATE = "state.json"
_FILES = tuple(f"{name}.safetensors" for name in LearnerState._fields)


class _TornError(InputError):
    """A checkpoint that is damaged: it will be no better at the next try."""


@dataclasses.dataclass(frozen=True)
class Place:
    """How far a training has come: what stands here comes next."""

    epoch: int = 0  # counted from 0
    step: int = 0  # of the epoch
    global_step: int = 0  # of the training
    n_videos: int = 0  # of the epoch, that were learned from
    loss_sum: float = 0.0  # of those videos' losses


class _Described(NamedTuple):
    """What state.json holds."""

    place: Place
    digests: dict[str, str]  # by file
    belongs_to: dict[str, Any]


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints in ``folder``, the newest first; a half-written one has another name."""
    return sorted(_numbered(folder), key=lambda path: int(path.name), reverse=True)


def newest_whole(folder: Path) -> Path | None:
    """The newest checkpoint whose files are whole, None if there are no checkpoints.

    Those passed over are told on stderr. The files are read, but no tensors are made of them.

    Raises
    ------
    InputError
        If there are checkpoints and none is whole, as to begin anew would throw away what may
        be mended; or if one is of an unknown format, as that of a newer version.
    OSError
        If one cannot be read for another reason than that a file is missing: it may be whole.
    """
    held = list_checkpoints(folder)
    for path in held:
        try:
            described = _described(path)
            for name, digest in described.digests.items():
                _check_digest(path / name, digest)
        except _TornError as error:
            print(f"checkpoint {path} is passed over: {error}", file=sys.stderr)
        else:
            return path
    if held:
        expected = "one at least, or --overwrite to start anew"
        raise InputError("no checkpoint is whole", where=str(folder), expected=expected)
    return None


def remove_later(folder: Path, newest: Path | None) -> None:
    """Put away what is later than ``newest``, and remove what a killed process was writing.

    A torn checkpoint that stayed would count among the newest ones, and push out whole ones. It
    loses its name only, to ``.torn-<number>``.
    """
    for path in list_checkpoints(folder):
        if newest is None or int(path.name) > int(newest.name):
            hidden = path.with_name(f".torn-{path.name}")
            shutil.rmtree(hidden, ignore_errors=True)
            path.rename(hidden)
    for path in folder.glob(".*"):
        if not path.name.startswith(".torn-"):
            shutil.rmtree(path, ignore_errors=True)


def remove_models_after(folder: Path, epoch: int) -> None:
    """Remove the models in ``folder`` of passes after ``epoch``, which will be trained again."""
    for path in _numbered(folder):
        if int(path.name) > epoch:
            # Nobody shall read one that is half there.
            hidden = path.with_name(f".{path.name}.old")
            shutil.rmtree(hidden, ignore_errors=True)
            path.rename(hidden)
            shutil.rmtree(hidden)


def _numbered(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if path.name.isdecimal() and path.is_dir()]


def save_checkpoint(
    folder: Path, place: Place, state: LearnerState, belongs_to: Mapping[str, Any], n_kept: int
) -> Path:
    """Write a checkpoint, then remove all but the newest ``n_kept`` ones.

    Parameters
    ----------
    folder : Path
        Of all checkpoints of the training.
    place : Place
    state : LearnerState
    belongs_to : mapping
        What a training must share to go on from here; values of JSON.
    n_kept : int
        At least 1.
    """
    target = folder / f"{place.global_step:08d}"
    with staged_output(str(target)) as staged:
        written = Path(staged)
        written.mkdir()
        for name, tensors in state._asdict().items():
            path = written / f"{name}.safetensors"
            save_file(
                {key: value.detach().cpu().contiguous() for key, value in tensors.items()}, path
            )
            _flush(path)
        digests = {name: file_digest(written / name) for name in _FILES}
        described = {"digests": digests, "belongs_to": dict(belongs_to)}
        save_json(written / _STATE, described | {"place": dataclasses.asdict(place)})
    for path in list_checkpoints(folder)[n_kept:]:
        shutil.rmtree(path)
    return target


def load_checkpoint(path: Path, belongs_to: Mapping[str, Any]) -> tuple[Place, LearnerState]:
    """Read a checkpoint that belongs to the same training; tensors on the CPU.

    Raises
    ------
    InputError
        If it is damaged, of an unknown format, or of another training: the line names what
        differs.
    """
    described = _described(path)
    before = described.belongs_to
    for name, value in belongs_to.items():
        if before.get(name) != value:
            where = f"checkpoint {path}"
            what = f"the checkpoint is of another training: {name} differs"
            raise InputError(what, where=where, expected=before.get(name), found=value)
    tensors = [_tensors(path / name, described.digests[name]) for name in _FILES]
    return described.place, LearnerState(*tensors)


def _described(path: Path) -> _Described:
    """What state.json says of the checkpoint at ``path``."""
    where = str(path / _STATE)
    try:
        told = json.loads((path / _STATE).read_bytes())
    except FileNotFoundError:
        raise _TornError("no such file", where=where) from None
    except ValueError as error:  # its end is lost
        raise _TornError("not a JSON file", where=where, found=error) from None
    try:
        place, digests = Place(**told["place"]), dict(told["digests"])
        before = dict(told["belongs_to"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("checkpoint of an unknown format", where=where, found=error) from None
    if sorted(digests) != sorted(_FILES):
        expected, found = f"digests of {', '.join(_FILES)}", ", ".join(map(str, digests))
        raise InputError(
            "checkpoint of an unknown format", where=where, expected=expected, found=found
        )
    _check_place(place, where)
    return _Described(place, digests, before)


def _check_place(place: Place, where: str) -> None:
    for field in dataclasses.fields(place):
        value = getattr(place, field.name)
        counts = isinstance(field.default, int)
        # Not isinstance: true and false are ints to Python.
        if type(value) not in ((int,) if counts else (int, float)) or (counts and value < 0):
            expected = "a count" if counts else "a number"
            raise InputError(f"wrong {field.name}", where=where, expected=expected, found=value)


def _check_digest(path: Path, digest: str) -> None:
    try:
        found = file_digest(path)
    except FileNotFoundError:
        raise _TornError("no such file", where=str(path)) from None
    if found != digest:
        raise _TornError("the file has changed since it was written", where=str(path))


def _tensors(path: Path, digest: str) -> dict[str, torch.Tensor]:
    _check_digest(path, digest)
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _TornError("not a safetensors file", where=str(path), found=error) from None


def _flush(path: Path) -> None:
    """Have the file on the disk before the checkpoint has its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
