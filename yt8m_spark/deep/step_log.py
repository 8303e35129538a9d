"""The losses of a training: kept on the device, added over the ranks now and then, and written.

``steps.jsonl`` has a line about once a second:

    {"epoch": 1, "step": 20, "global_step": 20, "loss": 9.1, "examples_per_second": 800.0,
     "learning_rate": 0.1, "seconds": 12.5}

after that step; the loss is the mean over the videos since the line before, seconds are those since
the training was started or resumed. At the end of an epoch comes one with the mean over its videos:

    {"epoch": 1, "step": 500, "global_step": 500, "epoch_loss": 8.7, "n_videos": 22160}

Epochs and steps count from 1 here, as people do. A resumed training removes the lines behind its
checkpoint.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import NamedTuple

import torch

from yt8m_spark.artifacts import staged_file
from yt8m_spark.deep.checkpoints import Place
from yt8m_spark.deep.optimizers import learning_rate_at
from yt8m_spark.deep.ranks import Ranks, add_over_ranks
from yt8m_spark.deep.training import Training

__all__ = ["STEPS", "LossError", "StepLog"]

STEPS = "steps.jsonl"
LINE_SECONDS = 1.0
_MOST_STEPS = 1000  # between two lines; a stop at a bad loss comes that much too late


class LossError(ArithmeticError):
    """A loss that is no number: of the step that stands at ``place``."""

    def __init__(self, place: Place, loss: float) -> None:
        super().__init__(f"loss {loss}")
        self.place = place
        self.loss = loss


class _Step(NamedTuple):
    place: Place  # before the step
    n_videos: int  # of all ranks
    loss: torch.Tensor  # (), this rank's part


class StepLog:
    """Losses of the steps of one training, the same on all ranks; the first rank writes them.

    Parameters
    ----------
    training : Training
    ranks : Ranks
    place : Place
        Where the training goes on; what the file holds of later steps is removed.
    """

    def __init__(self, training: Training, ranks: Ranks, place: Place) -> None:
        self._training = training
        self._ranks = ranks
        self._path = Path(training.folder) / STEPS
        self._place = place
        self._steps: list[_Step] = []
        self._n_wanted = 1  # steps until the next exchange
        self._started = self._last = self._saved = time.monotonic()
        if ranks.leads:
            _cut_back(self._path, place.global_step)

    @property
    def place(self) -> Place:
        """Where the training stands, with all losses up to the last exchange."""
        return self._place

    @property
    def is_due(self) -> bool:
        """Whether the ranks should exchange; they all say the same."""
        return len(self._steps) >= self._n_wanted

    def add(self, loss: torch.Tensor, n_videos: int) -> None:
        """Note this rank's part of the next step's ``loss``; does not wait for the device."""
        before = self._steps[-1].place if self._steps else self._place
        here = Place(
            before.epoch, before.step + bool(self._steps), before.global_step + bool(self._steps)
        )
        self._steps.append(_Step(here, n_videos, loss))

    def exchange(self) -> bool:
        """Add up the losses of all ranks and write a line; whether a checkpoint is due.

        All ranks call this after the same step. Waits for the device.

        Raises
        ------
        LossError
            On all ranks, if a loss is no number; the good ones before it are written.
        """
        steps, self._steps = self._steps, []
        parts = torch.stack([step.loss for step in steps]).double().cpu()
        # The clock of the first rank decides for all, in the same message.
        wish = [float(self._wanted(len(steps))), float(self._checkpoint_due())]
        told = torch.tensor(wish if self._ranks.leads else [0.0, 0.0], dtype=torch.float64)
        held = add_over_ranks(torch.cat([parts, told]), self._ranks.size).tolist()
        *losses, n_wanted, checkpoint_due = held
        self._n_wanted = int(n_wanted)
        self._take(steps, losses)
        return bool(checkpoint_due)

    def end_epoch(self) -> Place:
        """Write the loss of the epoch; the place at which the next one begins."""
        place = self._place
        if self._ranks.leads:
            self._write(
                {
                    "epoch": place.epoch + 1,
                    "step": place.step,
                    "global_step": place.global_step,
                    "epoch_loss": place.loss_sum / place.n_videos,
                    "n_videos": place.n_videos,
                }
            )
        self._place = Place(place.epoch + 1, 0, place.global_step)
        return self._place

    def saved(self) -> None:
        """Note that a checkpoint was just written."""
        self._saved = time.monotonic()

    def _take(self, steps: list[_Step], losses: list[float]) -> None:
        good = next((n for n, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
        n_videos, loss_sum = self._place.n_videos, self._place.loss_sum
        for step, loss in zip(steps[:good], losses, strict=False):
            n_videos += step.n_videos
            loss_sum += loss * step.n_videos
        if good:
            self._line(steps[:good], losses)
            last = steps[good - 1].place
            self._place = Place(last.epoch, last.step + 1, last.global_step + 1, n_videos, loss_sum)
        if good < len(losses):
            raise LossError(steps[good].place, losses[good])

    def _line(self, steps: list[_Step], losses: list[float]) -> None:
        n_videos = sum(step.n_videos for step in steps)
        total = sum(loss * step.n_videos for step, loss in zip(steps, losses, strict=False))
        now, last = time.monotonic(), steps[-1].place
        if self._ranks.leads:
            self._write(
                {
                    "epoch": last.epoch + 1,
                    "step": last.step + 1,
                    "global_step": last.global_step + 1,
                    "loss": total / n_videos,
                    "examples_per_second": n_videos / max(now - self._last, 1e-9),
                    "learning_rate": learning_rate_at(last.global_step, self._training),
                    "seconds": now - self._started,
                }
            )
        self._last = now

    def _wanted(self, n_steps: int) -> int:
        """Steps that take about as long as a line should."""
        step_seconds = (time.monotonic() - self._last) / n_steps
        return max(1, min(_MOST_STEPS, round(LINE_SECONDS / max(step_seconds, 1e-6))))

    def _checkpoint_due(self) -> bool:
        return time.monotonic() - self._saved >= self._training.checkpoint_seconds

    def _write(self, line: dict[str, int | float]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _cut_back(path: Path, global_step: int) -> None:
    """Keep the whole lines up to ``global_step``; the steps behind it come again."""
    kept = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            if json.loads(line)["global_step"] <= global_step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):  # the end of it was lost
            continue
    with staged_file(path) as temporary:
        temporary.write_text("".join(kept))
