"""Figures of a training while it is under way, from what its tasks put up in the work folder.

logs    running_loss     mean loss of the last pass of each entity that has had one
        entities_done    entities whose training is over
        share_done       passes done, of all, in [0, 1]

The step is percent of the work: blocks of entities are trained one after another, so there is no
pass that all of them are in. See `spark.loss_board` for what tasks write.
"""

from __future__ import annotations

import math
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from yt8m_spark.artifacts import load_json
from yt8m_spark.errors import InputError
from yt8m_spark.events import note
from yt8m_spark.loss_plot import LOSS_PLOT, draw_loss_by_pass, loss_histories
from yt8m_spark.spark.gathering import mean_losses
from yt8m_spark.spark.plan import Plan, block_file, read_plan
from yt8m_spark.tracking import TrackedRun

__all__ = ["TrainingFigures", "follow_training", "log_losses", "training_figures"]

_SECONDS = 5.0  # between two looks
_LEAST_SECONDS = 15.0  # between two points of a curve
_PATIENCE = 20.0  # seconds that a training which has ended waits for its last point


class TrainingFigures(NamedTuple):
    """How far a training is."""

    running_loss: float  # mean over the entities that have had a pass; NaN if none has
    entities_done: int
    share_done: float  # of the passes of all entities, in [0, 1]


def training_figures(work: str) -> TrainingFigures | None:
    """How far the training in the folder ``work`` is; None before it has a plan.

    An entity that is not trained (no positive) counts as done with its block, and has no loss.
    """
    if not (Path(work) / "plan.json").exists():
        return None
    return _figures(work, read_plan(work))


@contextmanager
def follow_training(tracked: TrackedRun, work: str) -> Iterator[None]:
    """Log `training_figures` to ``tracked`` while the body trains in the folder ``work``.

    A thread looks every five seconds and logs four points a minute at most, and one when the body
    ends. A look takes some milliseconds, and whatever goes wrong in it the training goes on.
    """
    stop = threading.Event()
    follower = threading.Thread(target=_follow, args=(tracked, work, stop), daemon=True)
    follower.start()
    try:
        yield
    finally:
        stop.set()
        follower.join(_PATIENCE)


def log_losses(tracked: TrackedRun, model: str) -> None:
    """Log the losses in the folder ``model``: their mean by pass as ``loss``, and the picture.

    The picture is not drawn if no entity has a loss, or none a finite one.
    """
    losses = mean_losses(model)
    tracked.log_curve("loss", losses)
    if np.isfinite(losses).any():
        with tempfile.TemporaryDirectory(prefix="yt8m_spark-") as folder:
            path = str(Path(folder) / LOSS_PLOT)
            draw_loss_by_pass(loss_histories(model), path)
            tracked.log_file(path)


def _follow(tracked: TrackedRun, work: str, stop: threading.Event) -> None:
    logged, at, plan, ended = -1, -math.inf, None, False
    try:
        while not ended:
            ended = stop.wait(_SECONDS)
            plan = plan or _plan_at(work)
            if plan is None or not (ended or time.monotonic() - at >= _LEAST_SECONDS):
                continue
            figures = _figures(work, plan)
            step = int(100 * figures.share_done)
            if step > logged and math.isfinite(figures.running_loss):
                tracked.log_metrics(figures._asdict(), step=step)
                logged, at = step, time.monotonic()
    except Exception as error:  # a curve less, not a training less
        note(f"no more figures of the training under way: {error!r}")


def _plan_at(work: str) -> Plan | None:
    """Plan of the training, once it is there and whole."""
    try:
        return read_plan(work)
    except (OSError, ValueError):
        return None


def _figures(work: str, plan: Plan) -> TrainingFigures:
    n_done, n_passes, loss, n_trained = 0, 0.0, 0.0, 0
    for number in range(plan.n_blocks):
        n_entities = len(plan.entities[plan.block(number)])
        done, board = block_file(work, number).exists(), _board(work, number)
        share = 1.0 if done else min(1.0, len(board.losses) / plan.options.n_epochs)
        n_done += n_entities if done else 0
        n_passes += n_entities * share
        if board.losses:
            loss += board.n_entities * board.losses[-1]
            n_trained += board.n_entities
    mean = loss / n_trained if n_trained else math.nan
    return TrainingFigures(mean, n_done, n_passes / max(1, len(plan.entities)))


class _Board(NamedTuple):
    """What a block put up: its losses by pass, and of how many entities they are the mean."""

    losses: list[float]
    n_entities: int


def _board(work: str, number: int) -> _Board:
    """What block ``number`` put up; nothing if nothing, or nothing that can be read, is there."""
    try:
        found = load_json(Path(work) / "losses" / f"{number:05d}.json")
        return _Board([float(loss) for loss in found["losses"]], int(found["n_entities"]))
    except (InputError, OSError, KeyError, TypeError, ValueError):
        return _Board([], 0)
