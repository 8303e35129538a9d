"""How far the task of a block has come, on durable storage: a task that is lost loses little."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.artifacts import arrays_in_place, load_arrays
from yt8m_spark.core.training import PROGRESS, BlockTrainer
from yt8m_spark.errors import InputError

__all__ = ["Checkpoint"]

_DIGEST = "plan_digest"


class Checkpoint:
    """File in which a block's progress is kept while it trains.

    Parameters
    ----------
    path : Path
    digest : str
        Of the training it belongs to; another one's file is not taken up.
    seconds : float
        How often it is written at most.
    """

    def __init__(self, path: Path, digest: str, seconds: float) -> None:
        self._path = path
        self._digest = np.frombuffer(bytes.fromhex(digest), np.uint8)
        self._seconds = seconds
        self._written = time.monotonic()

    def load(self) -> dict[str, NDArray[Any]] | None:
        """Progress to go on from; None if there is none, or none that can be read."""
        if not self._path.exists():
            return None
        try:
            arrays = load_arrays(self._path, (*PROGRESS, _DIGEST))
        except InputError:  # a disk that lost its last seconds; the block begins anew
            return None
        if not np.array_equal(arrays.pop(_DIGEST), self._digest):
            return None
        return arrays

    def save_if_due(self, trainer: BlockTrainer) -> None:
        """Write how far ``trainer`` has come, if the last time is long enough ago.

        Raises
        ------
        FileNotFoundError
            If the folder is gone: the training is over, another task has done this one's work.
        """
        if time.monotonic() - self._written >= self._seconds:
            arrays_in_place(self._path, {**trainer.progress(), _DIGEST: self._digest})
            self._written = time.monotonic()
