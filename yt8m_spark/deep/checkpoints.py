"""What a training goes on from: weights, optimizer and place, whole or not at all, the newest N.

    <folder>/00001200/  weights.safetensors  optimizer.safetensors  average.safetensors  state.json

state.json holds the place, what the checkpoint belongs to, and a digest of each of the files: one
that lost its end to a crash is passed over.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from yt8m_spark.artifacts import load_json, save_json, staged_output
from yt8m_spark.deep.learner import LearnerState
from yt8m_spark.errors import InputError

__all__ = [
    "Place",
    "list_checkpoints",
    "load_checkpoint",
    "newest_whole",
    "remove_later",
    "save_checkpoint",
]

_STATE = "state.json"


@dataclasses.dataclass(frozen=True)
class Place:
    """How far a training has come: what stands here comes next."""

    epoch: int = 0  # counted from 0
    step: int = 0  # of the epoch
    global_step: int = 0  # of the training
    n_videos: int = 0  # of the epoch, that were learned from
    loss_sum: float = 0.0  # of those videos' losses


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints in ``folder``, the newest first; a half-written one has another name."""
    named = [path for path in folder.glob("*") if path.name.isdigit()]
    return sorted(named, key=lambda path: int(path.name), reverse=True)


def newest_whole(folder: Path) -> Path | None:
    """The newest checkpoint whose files are whole; those passed over are told on stderr."""
    for path in list_checkpoints(folder):
        try:
            _read(path)
        except InputError as error:
            print(f"checkpoint {path} is passed over: {error}", file=sys.stderr)
        else:
            return path
    return None


def remove_later(folder: Path, newest: Path | None) -> None:
    """Remove what is later than ``newest``, and what was being written when a process was killed.

    A torn checkpoint that stayed would count among the newest ones, and push out whole ones.
    """
    for path in list_checkpoints(folder):
        if newest is None or int(path.name) > int(newest.name):
            shutil.rmtree(path)
    for path in folder.glob(".*"):
        shutil.rmtree(path, ignore_errors=True)


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
        digests = {path.name: _digest(path.read_bytes()) for path in written.iterdir()}
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
        If it is damaged, or of another training: the line names what differs.
    """
    place, before, state = _read(path)
    for name, value in belongs_to.items():
        if before.get(name) != value:
            where = f"checkpoint {path}"
            what = f"the checkpoint is of another training: {name} differs"
            raise InputError(what, where=where, expected=before.get(name), found=value)
    return place, state


def _read(path: Path) -> tuple[Place, dict[str, Any], LearnerState]:
    described = load_json(path / _STATE)
    try:
        digests, before = dict(described["digests"]), dict(described["belongs_to"])
        place = Place(**described["place"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("not a checkpoint", where=str(path / _STATE), found=error) from None
    tensors = [
        _tensors(path / f"{name}.safetensors", digests.get(f"{name}.safetensors"))
        for name in LearnerState._fields
    ]
    return place, before, LearnerState(*tensors)


def _tensors(path: Path, digest: str | None) -> dict[str, torch.Tensor]:
    try:
        held = path.read_bytes()
    except OSError as error:
        raise InputError("cannot read", where=str(path), found=error.strerror) from None
    if _digest(held) != digest:
        raise InputError("the file has changed since it was written", where=str(path))
    try:
        return load(held)
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError("not a safetensors file", where=str(path), found=error) from None


def _digest(held: bytes) -> str:
    return hashlib.blake2b(held, digest_size=16).hexdigest()


def _flush(path: Path) -> None:
    """Have the file on the disk before the checkpoint has its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
