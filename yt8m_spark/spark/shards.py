"""Training shards: features laid on shared storage so that every mapper can stream them.

A shard is ``NNNNN.features.npy`` ((V, D) float32, mapped into memory, so that the mappers of one
machine share it) and ``NNNNN.labels.npz``. Which shard a video is in, and where, depends on its
id and the number of videos alone: not on how the table was partitioned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StructField, StructType

from yt8m_spark.artifacts import load_arrays, load_json, save_arrays, save_json, staged_file
from yt8m_spark.core.training import Chunk
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged, to_matrix
from yt8m_spark.spark.schemas import FEATURES, arrow_schema, require_columns
from yt8m_spark.spark.vectors import with_float_arrays

__all__ = ["ShardSet", "label_counts", "open_shards", "write_shards"]

# Videos of a shard; 4.7 MB at 1,152 features. Also how far the shuffling of a pass reaches.
VIDEOS_A_SHARD = 2048

_WRITTEN = StructType(
    [StructField(name, IntegerType()) for name in ("shard", "n_videos", "n_features")]
)


class ShardSet(NamedTuple):
    """Shards in a folder."""

    folder: str
    n_shards: int
    n_videos: int
    n_features: int

    def chunks(self, order: NDArray[np.int64] | None = None) -> Iterator[tuple[int, Chunk]]:
        """Every shard with its number, in ``order`` (n_shards,) or as numbered."""
        for number in range(self.n_shards) if order is None else order.tolist():
            yield number, _read_shard(self.folder, number)


def write_shards(features: DataFrame, folder: str) -> ShardSet:
    """Write the features table ``features`` as shards to ``folder``, one task a shard.

    Raises
    ------
    InputError
        If the table has the wrong schema or no rows, or rows differ in width.
    """
    features = with_float_arrays(features, ["features"])
    require_columns(features, FEATURES, "features table")
    n_videos = features.count()
    if n_videos == 0:
        raise InputError("no videos to train on", where="features table")
    n_shards = -(-n_videos // VIDEOS_A_SHARD)
    shard = F.pmod(F.xxhash64("video_id"), F.lit(n_shards)).cast("int").alias("shard")
    Path(folder).mkdir(parents=True, exist_ok=True)
    written = (
        features.select("video_id", "labels", "features", shard)
        .repartition(n_shards, "shard")
        .sortWithinPartitions("shard", "video_id")
        .mapInArrow(partial(_write_partition, folder=folder), _WRITTEN)
        .toPandas()
    )
    widths = sorted(set(written["n_features"]))
    if len(widths) != 1:
        raise InputError("feature widths differ", where="features table", found=widths)
    # A hash may leave a shard of a small table empty: it is written so, to keep the numbers.
    for number in set(range(n_shards)) - set(written["shard"]):
        _save_shard(folder, number, np.empty((0, widths[0]), np.float32), np.zeros(1), np.empty(0))
    shards = ShardSet(folder, n_shards, int(written["n_videos"].sum()), int(widths[0]))
    save_json(Path(folder) / "shards.json", {**shards._asdict(), "folder": "."})
    return shards


def open_shards(folder: str) -> ShardSet:
    """Shards that `write_shards` wrote to ``folder``."""
    described = load_json(Path(folder) / "shards.json")
    return ShardSet(folder, described["n_shards"], described["n_videos"], described["n_features"])


def label_counts(features: DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entities (E,) that occur as labels, ascending, and of how many videos each is one.

    The result has a row an entity, whatever the number of videos.
    """
    labels = features.select(F.explode(F.array_distinct("labels")).alias("entity"))
    counts = labels.where("entity is not null").groupBy("entity").count().orderBy("entity")
    table = counts.toPandas()
    return table["entity"].to_numpy(np.int64), table["count"].to_numpy(np.int64)


def _write_partition(batches: Iterable[pa.RecordBatch], folder: str) -> Iterator[pa.RecordBatch]:
    """Write the shards of a partition, whose rows come shard by shard and in order of ids."""
    for number, rows in groupby(_runs(batches), key=itemgetter(0)):
        parts = [batch for _, batch in rows]
        first = to_matrix(parts[0].column("features"), "features")
        others = (to_matrix(p.column("features"), "features", first.shape[1]) for p in parts[1:])
        matrix = np.concatenate([first, *others])
        offsets, values = ragged(pa.concat_arrays([part.column("labels") for part in parts]))
        _save_shard(folder, number, matrix, offsets, values)
        report = {"shard": [number], "n_videos": [len(matrix)], "n_features": [matrix.shape[1]]}
        yield pa.RecordBatch.from_pydict(report, schema=arrow_schema(_WRITTEN))


def _runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """``batches`` cut where the shard changes, each piece with its shard's number."""
    for batch in batches:
        numbers = batch.column("shard").to_numpy()
        edges = np.flatnonzero(np.diff(numbers, prepend=-1, append=-1))
        for start, stop in pairwise(edges.tolist()):
            yield int(numbers[start]), batch.slice(start, stop - start)


def _save_shard(
    folder: str,
    number: int,
    matrix: NDArray[np.float32],
    offsets: NDArray[np.generic],
    values: NDArray[np.generic],
) -> None:
    """Write the two files of one shard."""
    path = Path(folder) / f"{number:05d}.features.npy"
    with staged_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, matrix, allow_pickle=False)
    labels = {"offsets": offsets.astype(np.int64), "values": values.astype(np.int64)}
    save_arrays(Path(folder) / f"{number:05d}.labels.npz", labels)


def _read_shard(folder: str, number: int) -> Chunk:
    stem = Path(folder) / f"{number:05d}"
    features = np.load(f"{stem}.features.npy", mmap_mode="r", allow_pickle=False)
    labels = load_arrays(Path(f"{stem}.labels.npz"), ("offsets", "values"))
    return Chunk(features, labels["offsets"], labels["values"])
