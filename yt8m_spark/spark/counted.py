"""Count the videos that a task has done, for the progress bar of the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame

from yt8m_spark.progress import Heartbeat

__all__ = ["counted", "counted_rows", "counting"]

Item = TypeVar("Item")
Task = Callable[[Any], Iterator[pa.RecordBatch]]


def counted(task: Task, heartbeats: str | None) -> Task:
    """``task``, for mapInArrow, counting the rows it gives in the folder ``heartbeats``.

    With None it is ``task`` itself.
    """
    return task if heartbeats is None else partial(_run, task=task, heartbeats=heartbeats)


def counted_rows(df: DataFrame, heartbeats: str) -> DataFrame:
    """``df`` as it is, its rows counted as they pass; for tables that no task of ours makes."""
    return df.mapInArrow(partial(_run, task=iter, heartbeats=heartbeats), df.schema)


def counting(
    items: Iterable[Item], heartbeats: str | None, n_videos: Callable[[Item], int]
) -> Iterator[Item]:
    """Pass ``items`` on, counting the videos of each when the task asks for the next."""
    if heartbeats is None:
        yield from items
        return
    context = TaskContext.get()
    heartbeat = Heartbeat(heartbeats, f"{context.partitionId() if context else 0:05d}")
    for item in items:
        yield item
        heartbeat.advance(n_videos(item))
    heartbeat.flush()


def _run(
    batches: Iterable[pa.RecordBatch], task: Task, heartbeats: str
) -> Iterator[pa.RecordBatch]:
    return counting(task(batches), heartbeats, lambda batch: batch.num_rows)
