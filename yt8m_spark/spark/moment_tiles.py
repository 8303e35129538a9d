"""Moments of wide columns in tiles on shared storage: `core.moment_tiles` spread over tasks.

At D = 7,168 a covariance takes 411 MB and at 14,336 1.6 GB: no task and no driver holds one. The
rows are laid once as float32 ``.npy`` files; then each task takes one tile, maps the files into
memory and reads its two strips of columns from them.

Axes: V videos, D features, W features of a strip.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from yt8m_spark.artifacts import file_in_place, load_json, save_json
from yt8m_spark.core.moment_tiles import (
    CrossSums,
    TiledMoments,
    mean_path,
    strip_edges,
    tile_numbers,
    tile_path,
)
from yt8m_spark.core.moments import MomentSums
from yt8m_spark.errors import InputError
from yt8m_spark.spark.counted import counting
from yt8m_spark.spark.moments import complete_rows
from yt8m_spark.spark.schemas import FLOATS, arrow_schema, require_columns

__all__ = ["strip_width", "tiled_moments"]

Rows = NDArray[np.float32]

_LAID = StructType(
    [
        StructField("file", StringType()),
        StructField("n", IntegerType()),
        StructField("width", IntegerType()),
    ]
)
_TILE = StructType([StructField("tile", IntegerType())])

# Of the memory of a task: a tile holds 12 W² bytes, and chunks of rows beside it.
_SHARE_OF_TILE = 1 / 4
_WIDEST_STRIP = 2048  # beyond, products are no faster, and fewer tasks share the work
# Bytes of rows in one file; a task holds as many until it writes them.
_FILE_BYTES = 16 << 20
_ROWS_AT_ONCE = 1024


def strip_width(width: int, memory: int) -> int:
    """W for tiles whose task holds at most ``memory`` bytes, of D = ``width`` features."""
    return max(1, min(_WIDEST_STRIP, width, math.isqrt(int(memory * _SHARE_OF_TILE) // 12)))


def tiled_moments(
    df: DataFrame,
    columns: Sequence[str],
    folder: str,
    *,
    memory: int,
    heartbeats: str | None = None,
) -> TiledMoments:
    """Moments of the array<float> ``columns``, side by side, as tiles in ``folder``.

    All tasks must see ``folder``, which must not be there yet; its owner removes it. It takes
    4 V D + 4 D² bytes. With S strips each row is read from storage S + 1 times, W features at a
    time. The driver gets the name of each file of 16 MiB, no numbers.

    A row with a null in one of the columns is left out.

    Raises
    ------
    InputError
        If ``df`` lacks a column or has no rows; rows of unequal length, nulls in a row and NaN
        fail the Spark task with one.
    """
    require_columns(df, dict.fromkeys(columns, FLOATS), "videos table")
    root = Path(folder).resolve()
    rows_folder = root / "rows"
    rows_folder.mkdir(parents=True)
    lay = partial(
        _lay_partition, columns=tuple(columns), folder=str(rows_folder), heartbeats=heartbeats
    )
    laid = df.select(*columns).mapInArrow(lay, _LAID).collect()
    where = f"column {', '.join(columns)}"
    if not laid:
        raise InputError("no rows to take moments of", where=where)
    widths = sorted({row.width for row in laid})
    if len(widths) > 1:
        raise InputError("feature widths differ", where=where, expected=widths[0], found=widths[-1])
    edges = strip_edges(widths[0], strip_width(widths[0], memory))
    plan = {"files": sorted(row.file for row in laid), "edges": edges}
    save_json(root / "tiles.json", plan)
    _multiply_tiles(df, str(root), len(tile_numbers(len(edges) - 1)))
    shutil.rmtree(rows_folder)
    return TiledMoments(str(root), sum(row.n for row in laid), edges)


def _multiply_tiles(df: DataFrame, folder: str, n_tiles: int) -> None:
    """One task a tile."""
    numbers = df.sparkSession.range(0, n_tiles, 1, n_tiles)
    done = numbers.mapInArrow(partial(_tile_partition, folder=folder), _TILE).collect()
    found = {row.tile for row in done}
    if len(found) != n_tiles:
        raise RuntimeError(f"{len(found)} of {n_tiles} tiles were written")


def _lay_partition(
    batches: Iterable[pa.RecordBatch],
    columns: tuple[str, ...],
    folder: str,
    heartbeats: str | None,
) -> Iterator[pa.RecordBatch]:
    """Write the rows of a partition to files of 16 MiB; a row a file."""
    context = TaskContext.get()
    partition = context.partitionId() if context else 0
    batches = counting(batches, heartbeats, lambda batch: batch.num_rows)
    for number, rows in enumerate(_blocks(batches, columns)):
        name = f"{partition:05d}-{number:05d}.npy"
        with file_in_place(Path(folder) / name) as temporary, temporary.open("wb") as file:
            np.save(file, rows, allow_pickle=False)
        report = {"file": [name], "n": [len(rows)], "width": [rows.shape[1]]}
        yield pa.RecordBatch.from_pydict(report, schema=arrow_schema(_LAID))


def _blocks(batches: Iterable[pa.RecordBatch], columns: tuple[str, ...]) -> Iterator[Rows]:
    """All rows in blocks of about 16 MiB."""
    waiting: list[Rows] = []
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            rows = complete_rows(batch.slice(start, _ROWS_AT_ONCE), columns)
            if waiting and rows.shape[1] != waiting[0].shape[1] and len(rows):
                raise InputError(
                    "feature widths differ",
                    where=f"column {', '.join(columns)}",
                    expected=waiting[0].shape[1],
                    found=rows.shape[1],
                )
            if len(rows):
                waiting.append(rows)
            if sum(one.nbytes for one in waiting) >= _FILE_BYTES:
                yield np.concatenate(waiting)
                waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _tile_partition(batches: Iterable[pa.RecordBatch], folder: str) -> Iterator[pa.RecordBatch]:
    """Write the tiles whose numbers come."""
    plan = load_json(Path(folder) / "tiles.json")
    edges: list[int] = plan["edges"]
    strips = [slice(edges[k], edges[k + 1]) for k in range(len(edges) - 1)]
    files = [Path(folder) / "rows" / name for name in plan["files"]]
    for batch in batches:
        for number in batch.column(0).to_pylist():
            i, j = tile_numbers(len(strips))[number]
            _write_tile(folder, i, j, (strips[i], strips[j]), files)
            yield pa.RecordBatch.from_pydict({"tile": [number]}, schema=arrow_schema(_TILE))


def _write_tile(
    folder: str, i: int, j: int, strips: tuple[slice, slice], files: Sequence[Path]
) -> None:
    widths = [strip.stop - strip.start for strip in strips]
    if i == j:
        own = MomentSums(widths[0])
        for rows in _mapped(files):
            own.add(rows[:, strips[0]])
        moments = own.total()
        assert moments is not None  # noqa: S101 - a file has rows; for mypy
        _save(mean_path(folder, i), moments.mean)
        _save(tile_path(folder, i, i), moments.scatter)
        return
    both = CrossSums(*widths)
    for rows in _mapped(files):
        both.add(rows[:, strips[0]], rows[:, strips[1]])
    _save(tile_path(folder, i, j), both.total())


def _mapped(files: Sequence[Path]) -> Iterator[Rows]:
    for file in files:
        yield np.load(file, mmap_mode="r", allow_pickle=False)


def _save(path: Path, array: NDArray[np.float64]) -> None:
    with file_in_place(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
