"""Train a network of frames (§4.1.2, §4.1.3) from shards or a frames table to a model folder.

The folder of a training, which `--resume` goes on from, holds ``index.json`` (files and their
counts), ``entities.parquet``, ``training.json`` and what the ranks write: ``steps.jsonl``,
``checkpoints/``, ``epochs/``, ``errors/``. Torch is imported by the functions that need it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import SparkSession

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.errors import InputError
from yt8m_spark.network_config import NetworkConfig
from yt8m_spark.network_data import ENTITIES, INDEX, NetworkData, prepare_videos
from yt8m_spark.network_metrics import Followed, Validate, epoch_models, follow_network
from yt8m_spark.progress import watch
from yt8m_spark.spark.scoring import evaluate_model
from yt8m_spark.spark.scoring_input import read_scoring_input
from yt8m_spark.spark.statistics import frame_widths
from yt8m_spark.spark.storage import absolute
from yt8m_spark.spark.tables import count_videos, read_input
from yt8m_spark.tracking import TrackedRun

if TYPE_CHECKING:
    from yt8m_spark.deep.training import Training

__all__ = ["NetworkTask", "TrainedNetwork", "train_network"]


class NetworkTask(NamedTuple):
    """What is to be trained, on which videos."""

    network: str  # "dbof", "lstm" or "mean"
    config: NetworkConfig
    input: str  # shards (a file, folder or glob) or a frames table, mounted
    validate: str | None = None  # the same, to judge the model after each pass by
    vocabulary: str | None = None  # CSV of the entities that labels may name
    initial_model: str | None = None  # model folder to start from
    trainable: str = "all"  # or "output", the last layer alone
    resume: bool = False


class TrainedNetwork(NamedTuple):
    """What came out of a training."""

    n_videos: int
    n_entities: int
    n_without_frames: int
    n_steps: int  # of a pass
    n_epochs: int  # passes
    epoch: int  # the pass whose model was taken, from 1
    loss: float  # of the last steps, mean over their videos
    examples_per_second: float  # of the last steps
    validated: dict[str, float]  # metrics of the model that was taken

    def counts(self) -> dict[str, float]:
        """What `follow_network` has not logged."""
        names = ("n_videos", "n_entities", "n_without_frames", "n_steps", "n_epochs", "epoch")
        return {name: getattr(self, name) for name in names}

    def figures(self) -> dict[str, float]:
        """All of it by name, the metrics of the validation after ``validate_``."""
        rates = {"loss": self.loss, "examples_per_second": self.examples_per_second}
        validated = {f"validate_{name}": value for name, value in self.validated.items()}
        return self.counts() | rates | validated


def train_network(
    spark: SparkSession, tracked: TrackedRun, task: NetworkTask, work: str, folder: str
) -> TrainedNetwork:
    """Train the network of ``task`` in the folder ``work`` and write its model to ``folder``.

    Tasks of Spark count the labels, once, and evaluate the model after each pass; ranks, which
    `deep.launch` starts, read the shards and train.

    Raises
    ------
    InputError
        If the input is none for a network: no frames, no labels, labels that the vocabulary does
        not name, videos without frames that are not to be skipped, fewer shards than ranks; if a
        GPU is asked for that is not there; if ``validate`` has other feature lists; if DBoF has
        one video to normalize at once; or if the loss is no number any more.
    RankError
        If a rank died.
    """
    from yt8m_spark.deep.order import share_videos
    from yt8m_spark.deep.shard_index import load_index
    from yt8m_spark.deep.training import save_training

    config, n_gpus = task.config, _check_device(task.config)
    root = Path(work)
    # As many ranks as there may be: what no number of them mends is told before the count.
    config.check_normalized(task.network, config.n_processes or max(1, n_gpus), task.trainable)
    data = _prepare(spark, task, root)
    index = load_index(root / INDEX)
    n_ranks = _count_ranks(config, n_gpus, len(index.units))
    config.check_normalized(task.network, n_ranks, task.trainable)
    training = _training(task, data, root, n_ranks)
    n_steps = share_videos(index.counts, n_ranks, config.batch_size).n_steps
    save_training(root / "training.json", training)
    _log_used(tracked, training, n_ranks, _device_used(spark, config, n_gpus, n_ranks))
    validate = _validator(spark, task.validate, root, data.widths) if task.validate else None
    with follow_network(
        tracked,
        work,
        n_steps=n_steps,
        n_epochs=training.epochs,
        validate=validate,
        keep=config.keep_checkpoints,
    ) as followed:
        _launch(spark, task, root, n_ranks)
    epoch = _chosen(followed, root, config.choose)
    validated = followed.validated.get(epoch, {})
    _take(root, folder, epoch, {"input": task.input, "epoch": epoch, "validation": validated})
    return TrainedNetwork(
        n_videos=index.n_videos,
        n_entities=data.n_entities,
        n_without_frames=data.n_without_frames,
        n_steps=n_steps,
        n_epochs=training.epochs,
        epoch=epoch,
        loss=followed.last.get("loss", float("nan")),
        examples_per_second=followed.last.get("examples_per_second", float("nan")),
        validated=validated,
    )


def _prepare(spark: SparkSession, task: NetworkTask, root: Path) -> NetworkData:
    """Count labels, and lay out what ranks read."""
    return prepare_videos(
        spark,
        task.input,
        root,
        task.config.features,
        skip=task.config.without_frames == "skip",
        vocabulary=task.vocabulary,
    )


def _launch(spark: SparkSession, task: NetworkTask, root: Path, n_ranks: int) -> None:
    """Have ``n_ranks`` train, and wait for their end."""
    from yt8m_spark.deep.launch import launch, task_gpus

    config = task.config
    launch(
        spark,
        str(root / "training.json"),
        n_processes=n_ranks,
        mode=config.launch,
        use_gpu=config.device == "cuda" or (config.device == "auto" and task_gpus(spark) > 0),
        resume=task.resume,
    )


def _device_used(spark: SparkSession, config: NetworkConfig, n_gpus: int, n_ranks: int) -> str:
    """Where ranks will compute: on GPUs if each has one, as `deep.ranks` decides."""
    from yt8m_spark.deep.launch import task_gpus

    if config.launch == "spark":
        return "cuda" if config.device != "cpu" and task_gpus(spark) > 0 else "cpu"
    return "cuda" if n_gpus >= n_ranks else "cpu"


def _log_used(tracked: TrackedRun, training: Training, n_ranks: int, device: str) -> None:
    """Log what was used where the options, which are logged too, leave it open."""
    used = {
        "used_n_processes": n_ranks,
        "used_threads": training.n_threads,
        "used_n_frames": training.feed.n_frames,
        "used_device": device,
    }
    tracked.log_params({name: str(value) for name, value in used.items()})


def _check_device(config: NetworkConfig) -> int:
    """GPUs of this machine that ranks may have; refuses to ask for them where there are none."""
    import torch

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if config.launch == "local" and config.device == "cuda" and not n_gpus:
        raise InputError("there is no GPU on this machine", expected="--device cpu or auto")
    return n_gpus if config.launch == "local" and config.device != "cpu" else 0


def _count_ranks(config: NetworkConfig, n_gpus: int, n_shards: int) -> int:
    """Ranks to start: as asked for, else one a GPU if they can share the batch, else one."""
    if config.n_processes is not None:
        return config.n_processes
    most = max(1, min(n_gpus, n_shards))
    return next(n for n in range(most, 0, -1) if config.batch_size % n == 0)


def _training(task: NetworkTask, data: NetworkData, root: Path, n_ranks: int) -> Training:
    """All that the ranks need to know."""
    from yt8m_spark.deep.feed import FeedOptions
    from yt8m_spark.deep.networks import NetworkOptions
    from yt8m_spark.deep.training import Training

    config = task.config
    sampling, n_frames = config.frames_of(task.network)
    return Training(
        network=NetworkOptions(
            network=task.network,
            widths=data.widths,
            n_entities=data.n_entities,
            normalize=config.normalize,
            classifier=config.classifier,
            n_experts=config.n_experts,
            n_units=config.units,
            pooling=config.pooling,
            n_hidden=config.hidden,
            n_layers=config.layers,
            n_cells=config.cells,
            horizon=config.horizon,
        ),
        feed=FeedOptions(
            widths=data.widths,
            sampling=sampling,
            n_frames=n_frames,
            batch_size=config.batch_size,
            seed=config.seed,
            shuffle_videos=config.shuffle_videos,
            n_readers=config.n_readers,
            # Those that are not to be skipped were refused when they were counted.
            without_frames="skip" if data.n_without_frames else config.without_frames,
        ),
        index=str(root / INDEX),
        entities=str(root / ENTITIES),
        folder=str(root),
        epochs=config.epochs,
        optimizer=config.optimizer,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        clip=config.clip,
        warmup_steps=config.warmup_steps,
        ema=config.ema,
        accumulator_start=config.accumulator_start,
        micro_batch=config.micro_batch,
        precision=config.precision,
        compile=config.compile,
        device=config.device,
        n_threads=config.threads_of(n_ranks),
        seed=config.seed,
        checkpoint_seconds=config.checkpoint_seconds,
        keep_checkpoints=config.keep_checkpoints,
        initial_model=task.initial_model and absolute(task.initial_model),
        trainable=task.trainable,
    )


def _validator(spark: SparkSession, source: str, root: Path, widths: Mapping[str, int]) -> Validate:
    """What evaluates a model on the videos of ``source``; refuses other frames than it sees now."""
    frames = read_input(spark, source, level="frame")
    found = frame_widths(frames, [name for name in widths if name in frames.columns])
    if found != widths:
        raise InputError(
            "frames are not those that are learned from", where=source, expected=widths, found=found
        )
    total = count_videos(spark, source)

    def validate(model: str) -> Mapping[str, float]:
        with watch(str(root / "validation"), total, "validate") as heartbeats:
            videos = read_scoring_input(spark, source, model)
            return evaluate_model(videos, model, heartbeats=heartbeats).metrics

    return validate


def _chosen(followed: Followed, root: Path, choose: str) -> int:
    """The pass whose model is taken."""
    models = epoch_models(root)
    best = followed.best_epoch
    if choose == "best" and best in models:
        return int(best)
    return max(models)


def _take(root: Path, folder: str, epoch: int, told: Mapping[str, object]) -> None:
    """Copy the model after pass ``epoch`` to ``folder``, with what is ``told`` of it."""
    model = epoch_models(root)[epoch]
    shutil.copytree(model, folder, dirs_exist_ok=True)
    path = Path(folder) / "model.json"
    save_json(path, load_json(path) | dict(told))
