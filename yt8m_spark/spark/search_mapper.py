"""One Spark task, one block of entities, every setting of a search (paper §4.3).

Each shard is read and decoded once a pass, and every setting learns from it before the next one
comes. What a setting gives is what a training with it alone would: the order of the videos is that
of the seed, whatever the batch size. Then the validation shards are read once, for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql.types import IntegerType, LongType, StructField, StructType

from yt8m_spark.artifacts import file_in_place
from yt8m_spark.core.label_noise import noise_aware
from yt8m_spark.core.label_rates import channel_of
from yt8m_spark.core.losses import LossFamily, loss_family
from yt8m_spark.core.training import BlockTrainer, label_matrix
from yt8m_spark.core.validation import BlockValidation
from yt8m_spark.progress import Heartbeat
from yt8m_spark.spark.checkpoints import Checkpoint
from yt8m_spark.spark.entity_rows import TrainedBlock, write_block
from yt8m_spark.spark.mapper import block_rates, block_trainer, labelled_videos
from yt8m_spark.spark.plan import Plan, block_file, block_is_done, read_plan
from yt8m_spark.spark.schemas import arrow_schema
from yt8m_spark.spark.search_plan import progress_of, read_search_plan, setting_folder
from yt8m_spark.spark.shards import ShardSet, open_shards, read_ahead

__all__ = ["FIGURES", "SEARCHED_BLOCK", "search_blocks"]

SEARCHED_BLOCK = StructType(
    [StructField("block", IntegerType()), StructField("n_entities", LongType())]
)

# A row a setting and entity: how good it is on the validation split.
FIGURES = pa.schema(
    [
        ("setting", pa.int32()),
        ("entity", pa.int32()),
        ("validation_ap", pa.float64()),  # null without positives, or where training diverged
        ("validation_loss", pa.float64()),  # null where training diverged
        ("n_validation_positives", pa.int64()),
    ]
)


class _Training(NamedTuple):
    """A block's training with one setting."""

    plan: Plan
    trainer: BlockTrainer
    checkpoint: Checkpoint


class _Judged(NamedTuple):
    """How good a setting has made the block."""

    validation: BlockValidation
    finite: NDArray[np.bool_]  # (E,), False where training diverged


def search_blocks(batches: Iterable[pa.RecordBatch], work: str) -> Iterator[pa.RecordBatch]:
    """Train and judge the blocks whose numbers come in column ``id``; those done are left."""
    search = read_search_plan(work)
    plans = [read_plan(setting_folder(work, s)) for s in range(len(search.settings))]
    shards = open_shards(plans[0].shards, plans[0].cache)
    validation = open_shards(search.validation, plans[0].cache)
    for batch in batches:
        for number in batch.column("id").to_pylist():
            if not block_is_done(work, number):
                _search_block(plans, number, shards, validation, work)
                n_entities = len(plans[0].entities[plans[0].block(number)])
                report = {"block": [number], "n_entities": [n_entities]}
                yield pa.RecordBatch.from_pydict(report, schema=arrow_schema(SEARCHED_BLOCK))


def _search_block(
    plans: Sequence[Plan], number: int, shards: ShardSet, validation: ShardSet, work: str
) -> None:
    entities = plans[0].entities[plans[0].block(number)]
    heartbeat = Heartbeat(str(Path(work) / "heartbeats"), f"{number:05d}")
    trainings = [_begin(plan, number, s, shards, work) for s, plan in enumerate(plans)]
    _train(trainings, number, shards, heartbeat)
    # One by one: what a training holds goes before what judging it takes is there.
    n_videos = shards.n_videos
    judged = [_keep(trainings.pop(0), s, number, n_videos, work) for s in range(len(plans))]
    _validate(judged, entities, validation, heartbeat)
    _write_figures(block_file(work, number), entities, judged)
    heartbeat.flush()
    for setting in range(len(plans)):
        progress_of(work, number, setting).unlink(missing_ok=True)


def _begin(plan: Plan, number: int, setting: int, shards: ShardSet, work: str) -> _Training:
    """Training with one setting, where it was left off."""
    path = progress_of(work, number, setting)
    checkpoint = Checkpoint(path, plan.digest, plan.checkpoint_seconds)
    trainer = block_trainer(plan, number, shards)
    if progress := checkpoint.load():
        trainer.resume(progress)
    return _Training(plan, trainer, checkpoint)


def _train(
    trainings: Sequence[_Training], number: int, shards: ShardSet, heartbeat: Heartbeat
) -> None:
    """Do all passes that are left, the settings side by side.

    A task that was lost has saved them one after the other, perhaps on both sides of a pass's end,
    and each at a mini-batch of its own: those that are ahead wait for the others.
    """
    n_epochs = trainings[0].plan.options.n_epochs
    for _, trainer, _ in trainings:
        heartbeat.advance(trainer.epoch * shards.n_videos + trainer.n_done)
    for epoch in range(n_epochs):
        here = [t for t in trainings if t.trainer.epoch == epoch and not t.trainer.done]
        if here:
            _train_pass(here, number, shards, heartbeat)
    for _, trainer, _ in trainings:  # those whose entities converged: their passes are done too
        heartbeat.advance((n_epochs - trainer.epoch) * shards.n_videos)


def _train_pass(
    trainings: Sequence[_Training], number: int, shards: ShardSet, heartbeat: Heartbeat
) -> None:
    plan, first, _ = trainings[0]
    fed = [training.trainer.n_done for training in trainings]
    position = min(fed)
    ahead: Any = read_ahead(labelled_videos(plan, number, shards, first, position))
    with closing(ahead) as videos:
        for features, labels in videos:
            end = position + len(features)
            for i, (_, trainer, checkpoint) in enumerate(trainings):
                new = max(fed[i] - position, 0)
                if new < len(features):
                    trainer.feed(features[new:], labels[new:])
                    heartbeat.advance(len(features) - new)
                    fed[i] = end
                    checkpoint.save_if_due(trainer)
            position = end
    for _, trainer, _ in trainings:
        trainer.end_pass()


def _keep(training: _Training, setting: int, number: int, n_videos: int, work: str) -> _Judged:
    """Write what a setting has made of the block; what is left to do is to judge it.

    Where a training diverged, weights of 0 are written: a setting too bold must not end the search
    of all the others, and no entity ever takes it.
    """
    plan, trainer, _ = training
    finite = np.asarray(np.isfinite(trainer.state.final_weights()).all(axis=(0, 2)))
    if not finite.all():
        for array in (trainer.state.weights, trainer.state.weight_sum):
            array[..., np.flatnonzero(~finite)] = 0
    block = plan.block(number)
    trained = TrainedBlock(plan.entities[block], plan.n_positives[block], trainer)
    write_block(block_file(setting_folder(work, setting), number), trained, plan.loss)
    weights = trainer.state.final_weights()  # (R, E, D + 1)
    family = _judging_family(plan, number, n_videos)
    return _Judged(BlockValidation(family, weights[..., :-1], weights[..., -1]), finite)


def _judging_family(plan: Plan, number: int, n_videos: int) -> LossFamily:
    """Family whose loss tells how well block ``number`` says the labels of validation videos.

    Where labels are missing it is that of the labels as they are seen: their plain log-loss would
    be least for classifiers that miss as many. What is learned by bootstrapping says the labels
    themselves.
    """
    family, rates = loss_family(plan.loss, plan.n_experts), block_rates(plan, number, n_videos)
    if rates is None:
        return family
    return noise_aware(family, plan.options, channel_of(rates, np.empty(0, np.float32)))


def _validate(
    judged: Sequence[_Judged],
    entities: NDArray[np.int64],
    validation: ShardSet,
    heartbeat: Heartbeat,
) -> None:
    """Show every setting's classifiers all validation videos."""
    ahead: Any = read_ahead(validation.read(n) for n in range(len(validation.sizes)))
    with closing(ahead) as chunks:
        for chunk in chunks:
            labels = label_matrix(chunk, entities)
            for of_setting in judged:
                of_setting.validation.add(chunk.features, labels)
                heartbeat.advance(len(labels))


def _write_figures(path: Path, entities: NDArray[np.int64], judged: Sequence[_Judged]) -> None:
    """Write rows of `FIGURES`, last of all: the file says that the block is done."""
    parts = []
    for setting, (validation, finite) in enumerate(judged):
        loss = validation.mean_loss()
        known = finite & np.isfinite(loss)
        precision = np.where(known, validation.average_precision(), np.nan)
        columns = {
            "setting": np.full(len(entities), setting),
            "entity": entities,
            "validation_ap": pa.array(precision, from_pandas=True),
            "validation_loss": pa.array(np.where(known, loss, np.nan), from_pandas=True),
            "n_validation_positives": validation.n_positives,
        }
        parts.append(pa.table(columns).cast(FIGURES))
    with file_in_place(path) as temporary:
        pq.write_table(pa.concat_tables(parts), temporary)
