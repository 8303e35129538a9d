"""Figures of the training of a network while it is under way, from the files of its folder.

logs    loss, examples_per_second, learning_rate     by step, from 1 on over all passes
        epoch_loss                                   by pass: mean over its videos
        validate_map, validate_hit_at_1, ...         by pass, of the model after it

Ranks write the log ``steps.jsonl`` and the models ``epochs/00001/``, ...; the driver reads them.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.events import note
from yt8m_spark.progress import Bar, bar
from yt8m_spark.tracking import TrackedRun
from yt8m_spark.tracking_entries import metrics_entry

__all__ = ["Followed", "Validate", "epoch_models", "follow_network"]

Validate = Callable[[str], Mapping[str, float]]  # metrics of the model in a folder

_SECONDS = 2.0  # between two looks
_PATIENCE = 20.0  # seconds that a training which failed waits for what is being logged
_STEP_FIGURES = ("loss", "examples_per_second", "learning_rate")
_VALIDATION = "validation.json"
_BEST = "map"


class Followed:
    """What became of the passes of a training: their validation, and its last figures."""

    def __init__(self, work: Path) -> None:
        self._path = work / _VALIDATION
        # Of the passes before the training was stopped, if it goes on.
        found = load_json(self._path) if self._path.exists() else {}
        self.validated: dict[int, dict[str, float]] = {int(e): m for e, m in found.items()}
        self.last: dict[str, float] = {}  # the newest line of a step
        self.error: Exception | None = None  # of a validation

    @property
    def best_epoch(self) -> int | None:
        """The pass with the highest validated mAP, the first of several; None without one."""
        if not self.validated:
            return None
        return max(sorted(self.validated), key=lambda epoch: self.validated[epoch][_BEST])

    def add(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Keep the ``metrics`` of the model after pass ``epoch``."""
        self.validated[epoch] = {k: float(v) for k, v in metrics.items() if math.isfinite(v)}
        self.validated[epoch].setdefault(_BEST, 0.0)  # no video has a label
        save_json(self._path, {str(e): m for e, m in self.validated.items()})


@contextmanager
def follow_network(
    tracked: TrackedRun,
    work: str,
    *,
    n_steps: int,
    n_epochs: int,
    validate: Validate | None = None,
    keep: int = 2,
) -> Iterator[Followed]:
    """Log a training while the body runs it in the folder ``work``, with a bar on stderr.

    Parameters
    ----------
    tracked : TrackedRun
    work : str
        Folder of the training.
    n_steps, n_epochs : int
        Steps of a pass, and passes.
    validate : callable, optional
        Called in the thread that follows with the folder of the model after each pass, as soon as
        it is there; the training waits for it at its end only.
    keep : int
        Models that stay in the folder: the newest ones, and the best.

    Raises
    ------
    Exception
        What ``validate`` raised, once the body has ended: the training goes on meanwhile.
    """
    root = Path(work)
    followed, stop, failed = Followed(root), threading.Event(), threading.Event()
    follower = _Follower(tracked, root, followed, validate, keep)
    for epoch, metrics in sorted(followed.validated.items()):
        follower.log_validation(epoch, metrics)
    with bar(n_steps * n_epochs, "train", " steps") as shown:
        arguments = (follower.run, shown, stop, failed)
        thread = threading.Thread(target=copy_context().run, args=arguments, daemon=True)
        thread.start()
        try:
            yield followed
        except BaseException:
            failed.set()
            stop.set()
            thread.join(_PATIENCE)
            raise
        stop.set()
        thread.join()
    if followed.error is not None:
        raise followed.error


def epoch_models(work: str | Path) -> dict[int, Path]:
    """Folders of the models after each pass that are there, by pass from 1."""
    found = (path.parent for path in (Path(work) / "epochs").glob("*/model.json"))
    return {int(path.name): path for path in sorted(found) if path.name.isdecimal()}


class _Follower:
    """Reads what is new in the folder of a training; in a thread of its own."""

    def __init__(
        self,
        tracked: TrackedRun,
        work: Path,
        followed: Followed,
        validate: Validate | None,
        keep: int,
    ) -> None:
        self._tracked = tracked
        self._work = work
        self._followed = followed
        self._validate = validate
        self._keep = keep
        self._position = 0  # bytes of the log that are read
        self._inode = 0  # of the log: a training that goes on writes it anew, cut back
        self._logged = 0  # newest step that is logged

    def run(self, shown: Bar, stop: threading.Event, failed: threading.Event) -> None:
        """Look until the training has ended, and then once more."""
        ended = False
        while not ended:
            ended = stop.wait(_SECONDS)
            try:
                self._log_steps(shown)
            except Exception as error:  # a curve less, not a training less
                note(f"no figures of the training under way: {error!r}")
            if not failed.is_set():
                self._look_at_models(failed)

    def log_validation(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log the ``metrics`` of the model after pass ``epoch``."""
        named = {f"validate_{name}": value for name, value in metrics.items()}
        self._tracked.log_metrics(named, step=epoch)

    def _log_steps(self, shown: Bar) -> None:
        """Log the lines that are new."""
        figures: list[tuple[str, float, int]] = []
        for line in self._new_lines():
            if "epoch_loss" in line:
                figures.append(("epoch_loss", line["epoch_loss"], line["epoch"]))
            if "loss" in line and line["global_step"] > self._logged:
                self._logged = line["global_step"]
                figures += [(name, line[name], line["global_step"]) for name in _STEP_FIGURES]
                self._followed.last = line
        if figures:
            self._tracked.log_entry(metrics_entry(figures))
        last = self._followed.last
        if last:
            shown.set_postfix_str(self._told(last))
            shown.update(last["global_step"] - shown.n)

    def _told(self, last: dict[str, Any]) -> str:
        """What stands behind the bar."""
        told = f"pass {last['epoch']}, loss {last['loss']:.4g}"
        told += f", {last['examples_per_second']:.0f} videos/s"
        if (best := self._followed.best_epoch) is not None:
            figure = self._followed.validated[best][_BEST]
            told += f", best mAP {100 * figure:.1f} % after pass {best}"
        return told

    def _new_lines(self) -> list[dict[str, Any]]:
        """Lines of the log since the last look; one that is being written waits for the next."""
        path = self._work / "steps.jsonl"
        if not path.exists():
            return []
        with path.open("rb") as file:
            if self._inode != os.fstat(file.fileno()).st_ino:
                self._inode, self._position = os.fstat(file.fileno()).st_ino, 0
            file.seek(self._position)
            whole = file.read().rpartition(b"\n")[0]
        self._position += len(whole) + 1 if whole else 0
        return [json.loads(line) for line in whole.splitlines() if line.strip()]

    def _look_at_models(self, failed: threading.Event) -> None:
        """Validate the models that are new, and remove those that nobody will ask for."""
        for epoch, model in epoch_models(self._work).items():
            known = self._validate is None or epoch in self._followed.validated
            if known or self._followed.error is not None or failed.is_set():
                continue
            try:
                metrics = self._validate(str(model)) if self._validate else {}
                self._followed.add(epoch, metrics)
                self.log_validation(epoch, self._followed.validated[epoch])
            except Exception as error:
                self._followed.error = error
                note(f"validation of pass {epoch} failed: {error}")
        self._prune()

    def _prune(self) -> None:
        models = epoch_models(self._work)
        waiting = self._validate is not None and self._followed.error is None
        kept = {*sorted(models)[-self._keep :], self._followed.best_epoch}
        for epoch, model in models.items():
            if epoch not in kept and not (waiting and epoch not in self._followed.validated):
                shutil.rmtree(model, ignore_errors=True)
