"""Losses that tasks put up while they train, for whoever follows the training.

Axes: E entities of a block.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.artifacts import file_in_place

__all__ = ["write_losses"]


def write_losses(work: str, number: int, losses: Sequence[NDArray[np.float64]]) -> None:
    """Put up the losses of block ``number`` in ``<work>/losses/<number>.json``, whole.

    The file has ``n_entities``, of how many the losses are, and ``losses``, their mean after each
    pass. As in `gathering.mean_losses`, an entity that has converged keeps its last loss and one
    that is not trained has no say; where none is trained there is no file. A folder that is gone
    stays gone: the task has outlived its job.

    Parameters
    ----------
    losses : sequence of (E,) float64
        Mean loss of each pass; NaN where an entity was at rest.
    """
    last = np.full(len(losses[0]) if losses else 0, np.nan)
    means = []
    for of_pass in losses:
        last = np.where(np.isfinite(of_pass), of_pass, last)
        known = last[np.isfinite(last)]
        if len(known):
            means.append(float(known.mean()))
    if means:
        path = Path(work) / "losses" / f"{number:05d}.json"
        with suppress(FileNotFoundError):
            path.parent.mkdir(exist_ok=True)
            with file_in_place(path) as temporary:
                temporary.write_text(json.dumps({"n_entities": len(known), "losses": means}))
