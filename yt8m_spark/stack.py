"""A model of two stages in its folder: written whole, and read without Spark.

    stack = load_stack("model")
    scores = score_stack(stack, features)    # (V, E)

The folder has model.json, which says under "stack" how the two go together, and a folder each of
``first`` and ``second`` (models as train_entities makes them) and ``map`` (the whitening between).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yt8m_spark import __version__
from yt8m_spark.artifacts import save_json
from yt8m_spark.core.scored import best_of
from yt8m_spark.core.scoring import Scorer, score_videos, top_k_videos
from yt8m_spark.core.stacking import Stack, check_stack, score_stack
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import (
    FIRST,
    MAP,
    SECOND,
    check_model,
    is_stack,
    load_scorer,
    model_files,
    read_description,
    read_scorer,
)
from yt8m_spark.whitening_files import load_whitening

__all__ = [
    "VideoModel",
    "best_entities",
    "describe_stack",
    "load_stack",
    "load_video_model",
    "score_model",
]

Floats = NDArray[np.float32]
VideoModel = Scorer | Stack

_VIDEOS_AT_ONCE = 512  # whose scores of all entities are held


def describe_stack(folder: str, *, weight: float, description: Mapping[str, object]) -> None:
    """Write model.json of the parts that are in ``folder`` already; last, so it tells they are.

    Parameters
    ----------
    folder : str
    weight : float
        Of `core.stacking.Stack`.
    description : mapping
        More to keep: ``stack`` may tell how the stages came about.
    """
    first, second = (read_description(str(Path(folder) / part)) for part in (FIRST, SECOND))
    described = {
        "loss": second["loss"],
        "n_experts": second["n_experts"],
        "n_features": first["n_features"],
        "n_entities": first["n_entities"],
        "whitening": first.get("whitening"),
        "versions": {"yt8m_spark": __version__, "numpy": np.__version__},
        **description,
    }
    told: Any = description.get("stack", {})
    save_json(
        Path(folder) / "model.json",
        described | {"stack": {**told, "weight": weight}},
    )


def load_stack(folder: str) -> Stack:
    """Model of two stages in ``folder``; read once a process and model, the last one kept.

    The arrays are not to be written to: all callers share them.

    Raises
    ------
    InputError
        If ``folder`` holds no such model, or a part of it is missing, damaged or of another one.
    """
    path = str(Path(folder).resolve())
    if not is_stack(path):
        raise InputError("model has one stage", where=folder, expected="a model of train_stack")
    try:
        stats = [file.stat() for file in model_files(path)]
    except (FileNotFoundError, InputError):
        check_model(path)  # tells which part is at fault
        raise
    written = repr([(stat.st_size, stat.st_mtime_ns) for stat in stats])
    return _cached_stack(path, hashlib.sha256(written.encode()).hexdigest())


@lru_cache(maxsize=1)
def _cached_stack(folder: str, _written: str) -> Stack:
    check_model(folder)
    told, where = read_description(folder)["stack"], str(Path(folder) / "model.json")
    try:
        weight = float(told["weight"])
    except (LookupError, TypeError, ValueError):
        expected = "stack with its weight"
        raise InputError("not a description of a stack", where=where, expected=expected) from None
    first, second = (read_scorer(str(Path(folder) / stage)) for stage in (FIRST, SECOND))
    stack = Stack(first, load_whitening(str(Path(folder) / MAP))[0], second, weight)
    try:
        check_stack(stack)
    except ValueError as error:
        raise InputError(str(error), where=where) from None
    return stack


def load_video_model(folder: str) -> VideoModel:
    """Model of features of videos in ``folder``, of one stage or two.

    Raises
    ------
    InputError
        As `load_stack` and `scorer.load_scorer`.
    """
    return load_stack(folder) if is_stack(folder) else load_scorer(folder)


def score_model(model: VideoModel, features: Floats) -> Floats:
    """Score of every video and entity, (B, E) in [0, 1], for ``features`` (B, D)."""
    return (
        score_stack(model, features) if isinstance(model, Stack) else score_videos(model, features)
    )


def best_entities(model: VideoModel, features: Floats, k: int) -> tuple[NDArray[np.int64], Floats]:
    """The ``k`` best entities of each video and their scores, (B, min(k, E)) each, best first.

    Ties by ascending entity. Of two stages the second needs all scores of the first: those of 512
    videos are held at once, 8 MB of either at 3,862 entities.
    """
    if isinstance(model, Scorer):
        return top_k_videos(model, features, k)
    found = [
        best_of(score_stack(model, features[start : start + _VIDEOS_AT_ONCE]), k)
        for start in range(0, max(1, len(features)), _VIDEOS_AT_ONCE)
    ]
    columns, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return model.entities[columns], scores
