"""One Spark task, one block of entities: the paper's AdaGrad mapper (§4.3).

A task gets the number of its block and the path of the work folder, nothing else. It reads the
plan and streams the training shards from there, and leaves its trained block there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql.types import DoubleType, IntegerType, LongType, StructField, StructType

from yt8m_spark.core.arrays import asarray_like
from yt8m_spark.core.block_state import BlockState, initial_state, prior_probability
from yt8m_spark.core.label_rates import LabelRates, label_rates
from yt8m_spark.core.losses import LossFamily, loss_family
from yt8m_spark.core.training import BlockTrainer, label_matrix
from yt8m_spark.core.video_order import videos_of_pass
from yt8m_spark.devices import array_of
from yt8m_spark.progress import Heartbeat
from yt8m_spark.spark.checkpoints import Checkpoint
from yt8m_spark.spark.entity_rows import TrainedBlock, write_block
from yt8m_spark.spark.loss_board import write_losses
from yt8m_spark.spark.plan import Plan, block_file, block_is_done, progress_file, read_plan
from yt8m_spark.spark.schemas import arrow_schema
from yt8m_spark.spark.shards import ShardSet, open_shards, read_ahead
from yt8m_spark.spark.warm_start import warm_state

__all__ = ["BLOCK_REPORT", "block_rates", "block_trainer", "labelled_videos", "train_blocks"]

BLOCK_REPORT = StructType(
    [
        StructField("block", IntegerType()),
        StructField("n_entities", LongType()),  # that were trained
        StructField("mean_loss", DoubleType()),  # of them, in their last pass
    ]
)


def train_blocks(batches: Iterable[pa.RecordBatch], work: str) -> Iterator[pa.RecordBatch]:
    """Train the blocks whose numbers come in column ``id``; those done already are left."""
    plan = read_plan(work)
    shards = open_shards(plan.shards, plan.cache)
    for batch in batches:
        for number in batch.column("id").to_pylist():
            if block_is_done(work, number):
                continue
            block = _train_block(plan, number, shards, work)
            write_block(block_file(work, number), block, plan.loss)
            progress_file(work, number).unlink(missing_ok=True)
            yield _report(number, block)


def _train_block(plan: Plan, number: int, shards: ShardSet, work: str) -> TrainedBlock:
    entities = plan.entities[plan.block(number)]
    checkpoint = Checkpoint(progress_file(work, number), plan.digest, plan.checkpoint_seconds)
    trainer = block_trainer(plan, number, shards)
    if progress := checkpoint.load():
        trainer.resume(progress)
    heartbeat = Heartbeat(str(Path(work) / "heartbeats"), f"{number:05d}")
    heartbeat.advance(trainer.epoch * shards.n_videos + trainer.n_done)
    while not trainer.done:
        ahead: Any = read_ahead(labelled_videos(plan, number, shards, trainer, trainer.n_done))
        with closing(ahead) as videos:
            for features, labels in videos:
                trainer.feed(features, labels)
                heartbeat.advance(len(features))
                checkpoint.save_if_due(trainer)
        trainer.end_pass()
        write_losses(work, number, trainer.losses)
    # Entities that converged early: their passes are done as well.
    heartbeat.advance((plan.options.n_epochs - trainer.epoch) * shards.n_videos)
    heartbeat.flush()
    return TrainedBlock(entities, plan.n_positives[plan.block(number)], trainer)


def block_trainer(plan: Plan, number: int, shards: ShardSet) -> BlockTrainer:
    """Trainer of block ``number`` before its first mini-batch."""
    family = loss_family(plan.loss, plan.n_experts)
    rates = block_rates(plan, number, shards.n_videos)
    state = _first_state(plan, number, shards, family, rates).like(array_of(plan.device))
    weights = _block_weights(plan, number)
    return BlockTrainer(state, family, plan.options, shards.n_videos, weights, rates)


def block_rates(plan: Plan, number: int, n_videos: int) -> LabelRates | None:
    """Rates of the labels of block ``number``, where the plan has any."""
    if plan.label_recall is None or plan.label_precision is None:
        return None
    block, observed = plan.block(number), _block_prior(plan, number, n_videos)
    return label_rates(observed, plan.label_recall[block], plan.label_precision[block])


def _block_weights(plan: Plan, number: int) -> NDArray[np.float32] | None:
    weights = plan.positive_weights
    return None if weights is None else weights[plan.block(number)]


def _block_prior(plan: Plan, number: int, n_videos: int) -> NDArray[np.float64]:
    n_positives = plan.n_positives[plan.block(number)]
    return prior_probability(n_positives, n_videos, _block_weights(plan, number))


def _first_state(
    plan: Plan,
    number: int,
    shards: ShardSet,
    family: LossFamily,
    rates: LabelRates | None,
) -> BlockState:
    entities = plan.entities[plan.block(number)]
    n_positives = plan.n_positives[plan.block(number)]
    n_videos, width = shards.n_videos, shards.n_features
    prior = _block_prior(plan, number, n_videos)
    state = initial_state(family, entities, width, plan.options, prior, n_videos, rates)
    unlearnable = n_positives == 0
    state.active &= ~unlearnable
    if plan.initial_model is not None:  # what it knows, it knows without positives too
        unlearnable &= ~warm_state(state, plan.initial_model, entities)
    state.rest_on_prior(family, prior if rates is None else rates.true_rate, unlearnable)
    return state


def labelled_videos(
    plan: Plan, number: int, shards: ShardSet, trainer: BlockTrainer, skip: int
) -> Iterator[tuple[Any, Any]]:
    """Features, and labels of block ``number``, of the pass that ``trainer`` is in.

    The first ``skip`` videos are left out; the rest comes on the device where the weights are.
    """
    entities, like = plan.entities[plan.block(number)], trainer.state.weights
    # Told now: a thread reads, while the trainer goes on to the next pass.
    epoch = trainer.epoch
    for chunk in videos_of_pass(shards.sizes, shards.read, plan.options.seed, epoch, skip):
        labels = label_matrix(chunk, entities)
        yield asarray_like(chunk.features, like), asarray_like(labels, like)


def _report(number: int, block: TrainedBlock) -> pa.RecordBatch:
    last = block.last_losses()
    report = {
        "block": [number],
        "n_entities": [int(np.isfinite(last).sum())],
        "mean_loss": [float(np.nanmean(last)) if np.isfinite(last).any() else 0.0],
    }
    return pa.RecordBatch.from_pydict(report, schema=arrow_schema(BLOCK_REPORT))
