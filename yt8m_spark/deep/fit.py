"""Train a network: every epoch, every step, on every rank (paper §4.1.2, §4.1.3).

    train(load_training("work/training.json"))

knows of other ranks only what the environment says (`deep.ranks`), so any launcher will do.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from yt8m_spark import __version__
from yt8m_spark.artifacts import load_table
from yt8m_spark.core.frame_sampling import FrameOptions
from yt8m_spark.deep.checkpoints import (
    Place,
    list_checkpoints,
    load_checkpoint,
    newest_whole,
    remove_later,
    remove_models_after,
    save_checkpoint,
)
from yt8m_spark.deep.feed import Feed
from yt8m_spark.deep.learner import Learner, LearnerState
from yt8m_spark.deep.model_files import check_entities, save_network
from yt8m_spark.deep.networks import Network, build_network
from yt8m_spark.deep.optimizers import learning_rate_at
from yt8m_spark.deep.ranks import Ranks, add_over_ranks, alone_in, joined_ranks
from yt8m_spark.deep.shard_index import load_index
from yt8m_spark.deep.step_log import LossError, StepLog
from yt8m_spark.deep.training import Training
from yt8m_spark.deep.transfer import freeze, start_from
from yt8m_spark.errors import InputError

__all__ = ["train"]

Ints = NDArray[np.int64]


class _Entities(NamedTuple):
    """Outputs of the network, in their order: (E,) each."""

    ids: Ints
    n_positives: Ints


def train(training: Training, *, resume: bool = False) -> None:
    """Train to the end of the last epoch, as one of the ranks.

    Parameters
    ----------
    training : Training
    resume : bool
        Go on from the newest whole checkpoint, if there is one; else begin. With as many ranks
        as before, on a CPU, the result is that of an undisturbed training, bit for bit. With
        another number of ranks, videos go to other ranks and steps than they would have: the
        epoch goes on at the step before which as many videos were seen, to less than a step, and
        may pass over the last few videos of the pass.

    Raises
    ------
    InputError
        If the loss is no longer a number (the line says at which batch, and what the last good
        checkpoint is; nothing later is saved), a checkpoint is of another training, there are
        checkpoints and ``resume`` is not set or none is whole, another training is running in the
        folder, or the input or the device will not do.

    Notes
    -----
    What it writes in ``training.folder``: `step_log` has steps.jsonl, `checkpoints` has
    checkpoints/, and the model after epoch 1 is in epochs/00001, and so on.
    """
    torch.set_num_threads(training.n_threads)
    folder = Path(training.folder)
    if not resume and list_checkpoints(folder / "checkpoints"):
        expected = "to resume it, or an empty folder"
        raise InputError("a stopped training is there", where=str(folder), expected=expected)
    with (
        joined_ranks(training.device) as ranks,
        alone_in(folder) if ranks.leads else nullcontext(),
    ):
        entities = _read_entities(training)
        index = load_index(training.index)
        feed = Feed(
            index,
            entities.ids,
            training.feed,
            ranks.rank,
            ranks.size,
            pin_memory=ranks.device.type == "cuda",
        )
        _Run(training, ranks, entities, feed, index.n_videos).go()


class _Run:
    """A training on its way, as one rank sees it."""

    def __init__(
        self, training: Training, ranks: Ranks, entities: _Entities, feed: Feed, n_videos: int
    ) -> None:
        self._training = training
        self._ranks = ranks
        self._entities = entities
        self._feed = feed
        self._n_videos = n_videos
        self._folder = Path(training.folder)
        self._belongs_to = _identity(training, entities)
        place, state = self._resumed()
        self._learner = Learner(_network(training, entities, ranks), training, ranks, state)
        self._log = StepLog(training, ranks, place)

    def go(self) -> None:
        """Train from the place at hand to the end."""
        self._save_missing_model()
        place = self._log.place
        batches = self._feed.batches(place.epoch, place.step, self._training.epochs)
        global_step = place.global_step
        for batch in batches:
            loss = self._learner.step(batch, global_step)
            global_step += 1
            self._log.add(loss, batch.n_videos_of_step)
            ends_epoch = batch.step + 1 == self._feed.n_steps
            if ends_epoch or self._log.is_due:
                self._settle(ends_epoch=ends_epoch)

    def _settle(self, *, ends_epoch: bool) -> None:
        """Look at the losses; write what is due."""
        try:
            checkpoint_due = self._log.exchange()
        except LossError as error:
            raise self._stop(error.place, f"the loss is {error.loss}") from None
        if not (ends_epoch or checkpoint_due):
            return
        last = self._log.place
        if not self._learner.is_finite():
            step = replace(last, step=last.step - 1, global_step=last.global_step - 1)
            raise self._stop(step, "a weight or a statistic is no number")
        if ends_epoch:
            last = self._log.end_epoch()
        self._save_checkpoint(last)
        if ends_epoch:
            self._save_model(last)

    def _resumed(self) -> tuple[Place, LearnerState | None]:
        """Place and state of the newest whole checkpoint, the same one for all ranks."""
        folder = self._folder / "checkpoints"
        told = torch.zeros(1, dtype=torch.float64)
        if self._ranks.leads:
            newest = newest_whole(folder)
            remove_later(folder, newest)
            told[0] = -1 if newest is None else int(newest.name)
        number = int(add_over_ranks(told, self._ranks.size).item())
        place, state = Place(), None
        if number >= 0:
            path = next(path for path in list_checkpoints(folder) if int(path.name) == number)
            place, state = load_checkpoint(path, self._belongs_to)
            place = _fitted(place, self._feed.n_steps, self._training.feed.batch_size)
        if self._ranks.leads:
            remove_models_after(self._folder / "epochs", place.epoch)
        return place, state

    def _save_checkpoint(self, place: Place) -> None:
        if self._ranks.leads:
            state = self._learner.state()
            n_kept = self._training.keep_checkpoints
            save_checkpoint(self._folder / "checkpoints", place, state, self._belongs_to, n_kept)
        self._log.saved()

    def _save_missing_model(self) -> None:
        """Save the model of the last epoch if the training was stopped before it was."""
        place = self._log.place
        if place.epoch and not place.step and not _model_folder(self._folder, place).exists():
            self._save_model(place)

    def _save_model(self, place: Place) -> None:
        """Save the model of the epoch that ends at ``place``."""
        if not self._ranks.leads:
            return
        with self._learner.for_use():
            save_network(
                str(_model_folder(self._folder, place)),
                self._learner.network,
                self._training.network,
                self._entities.ids,
                self._entities.n_positives,
                _description(self._training, self._n_videos, place),
            )

    def _stop(self, place: Place, what: str) -> InputError:
        """Error for a training that went astray at ``place``; names what it can go on from."""
        kept = list_checkpoints(self._folder / "checkpoints")
        rate = learning_rate_at(place.global_step, self._training)
        last_good = f"the last good checkpoint is {kept[0]}" if kept else "there is no checkpoint"
        return InputError(
            f"training stops: {what}",
            where=f"epoch {place.epoch + 1}, batch {place.step + 1}",
            expected="a lower learning rate, warm-up steps or clipping",
            found=f"learning rate {rate:g}; {last_good}",
        )


def _network(training: Training, entities: _Entities, ranks: Ranks) -> Network:
    """The network at its start, the same on all ranks, on the rank's device."""
    torch.manual_seed(training.seed)
    network = build_network(training.network)
    if training.initial_model is not None:
        started = start_from(network, training.network, training.initial_model, entities.ids)
        if ranks.leads:
            output = "with its output layer" if started.keeps_output else "a new output layer"
            print(f"started from {training.initial_model}, {output}", file=sys.stderr)
    freeze(network, training.trainable)
    network.train()
    return network.to(ranks.device)


def _read_entities(training: Training) -> _Entities:
    """Entities that the network tells, from the Parquet file or folder that the training names."""
    path = Path(training.entities)
    files = sorted(path.glob("[!._]*.parquet")) if path.is_dir() else [path]
    if not files:
        raise InputError("no Parquet file", where=training.entities)
    table = pa.concat_tables([load_table(file) for file in files])
    if missing := {"entity", "n_positives"} - set(table.column_names):
        raise InputError(f"column {min(missing)!r} is missing", where=training.entities)
    ids, n_positives = (
        table.column(c).to_numpy().astype(np.int64) for c in ("entity", "n_positives")
    )
    check_entities(ids, training.network.n_entities, training.entities)
    return _Entities(ids, n_positives)


def _identity(training: Training, entities: _Entities) -> dict[str, Any]:
    """What a checkpoint must share with the training that goes on from it."""
    digest = hashlib.blake2b(entities.ids.tobytes(), digest_size=16).hexdigest()
    network = training.network.describe()
    kept = {name: getattr(training, name) for name in ("optimizer", "trainable", "seed")}
    return (
        {f"network {name}": value for name, value in network.items()} | kept | {"entities": digest}
    )


def _fitted(place: Place, n_steps: int, batch_size: int) -> Place:
    """``place`` in an epoch that may be cut into other steps: as many videos, in whole ones."""
    step = min(round(place.n_videos / batch_size), n_steps)
    if place.step and step == n_steps:
        return Place(place.epoch + 1, 0, place.global_step)
    return replace(place, step=step)


def _model_folder(folder: Path, place: Place) -> Path:
    """Folder of the model after the epoch that ends at ``place``."""
    return folder / "epochs" / f"{place.epoch:05d}"


def _description(training: Training, n_videos: int, place: Place) -> dict[str, Any]:
    """What model.json tells of the training."""
    settings = asdict(training)
    for name in ("network", "index", "entities", "folder"):
        settings.pop(name)
    frames = FrameOptions(
        training.network.widths,
        training.network.normalize,
        training.feed.n_frames,
        training.feed.seed,
    )
    versions = {
        "yt8m_spark": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    return {
        "frames": frames.describe(),
        "n_videos": n_videos,
        "epochs": place.epoch,
        "global_step": place.global_step,
        "training": settings,
        "versions": versions,
    }
