"""Training shards: a features table shuffled once and laid out for mappers to stream (paper §4.3).

A folder holds `shard_files` of some thousand videos each, the codebook if they are codes, and
``shards.json``, which is written last: a folder without it is not finished. Which shard a row is
in, and where, depends on its id, the seed and the number of rows alone, not on partitions.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.core.chunks import Chunk, take_labels
from yt8m_spark.core.stored_features import STORED_TYPES, Decoder, decoder_of
from yt8m_spark.errors import InputError
from yt8m_spark.spark.codebooks import load_codebooks
from yt8m_spark.spark.read_ahead import read_ahead
from yt8m_spark.spark.schemas import INTS, require_columns
from yt8m_spark.spark.shard_cache import cached_file, local_cache_for, prepare_cache
from yt8m_spark.spark.shard_files import feature_file, label_file, read_features, read_labels
from yt8m_spark.spark.shard_writer import ShardRow, shuffled_to_files, stored_table

__all__ = [
    "VIDEOS_A_SHARD",
    "ShardSet",
    "label_counts",
    "local_cache_for",
    "open_shards",
    "read_ahead",
    "write_shards",
]

# Videos of a shard, on average; 9.4 MB at 1,152 features. Also how far the shuffling of a pass
# reaches.
VIDEOS_A_SHARD = 2048
# Fewer of wide features: a shard in memory is about this at most, 1,170 videos at 7,168 features.
_BYTES_A_SHARD = 32 << 20

_FORMAT = 2


@dataclass(frozen=True)
class ShardSet:
    """Shards in a folder."""

    folder: str
    sizes: tuple[int, ...]  # videos of each shard; a small table may leave one empty
    n_features: int
    dtype: str  # "float32", "float16" or "uint8", as stored
    file_bytes: tuple[tuple[int, int], ...]  # of the features and the labels of each shard
    digest: str  # SHA-256 of everything stored, ids and their order included
    cache: str | None = None  # folder on the local disk

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return len(self.sizes)

    @property
    def n_videos(self) -> int:
        """Number of rows: videos, or frames of them."""
        return sum(self.sizes)

    def read(self, number: int, rows: NDArray[np.int64] | None = None) -> Chunk:
        """Shard ``number`` in memory of its own: videos ``rows`` of it, in that order, or all.

        Parameters
        ----------
        number : int
            0 to n_shards - 1.
        rows : (N,) int64, optional
            Each 0 to sizes[number] - 1; one may come more than once.

        Raises
        ------
        InputError
            If a file is missing, cut short or of another kind.
        IndexError
            If one of ``rows`` is out of range.
        """
        n_videos = self.sizes[number]
        features, labels = self._files(number)
        matrix = read_features(
            features,
            (n_videos, self.n_features),
            self.dtype,
            _decoder(self.folder, self.dtype, self.digest),
            rows,
        )
        offsets, values = read_labels(labels, n_videos)
        if rows is not None:
            offsets, values = take_labels(offsets, values, rows)
        return Chunk(matrix, offsets, values)

    def _files(self, number: int) -> tuple[Path, Path]:
        """Where to read the two files of a shard: the cache, if there is one."""
        paths = _paths(self.folder, number)
        if self.cache is None:
            return paths
        folder, sizes = Path(self.cache) / self.digest, self.file_bytes[number]
        return cached_file(paths[0], folder, sizes[0]), cached_file(paths[1], folder, sizes[1])


def write_shards(
    features: DataFrame,
    folder: str,
    *,
    seed: int = 0,
    dtype: str = "float32",
    videos_a_shard: int = VIDEOS_A_SHARD,
    codebook: str | None = None,
) -> ShardSet:
    """Write the features table ``features`` as shards to ``folder``, one task a shard.

    The table is read once, by the shuffle, after its rows are counted and the width of one is
    taken; of a Parquet table that reads no features.

    Parameters
    ----------
    features : DataFrame
        ``video_id``, ``labels`` and ``features`` (array<float>, or binary: codes); with a column
        ``frame int`` too there may be several rows a video, one a frame.
    folder : str
        On storage that all tasks see. What it holds is replaced, and no set of shards until the
        last task is done.
    seed : int
        Of the order of rows.
    dtype : {"float32", "float16", "uint8"}
        How features are stored. float16 has an error of up to 2^-11 of a value, for values from
        6e-5 on. As uint8, codes are kept as they are; floats are coded by a Lloyd-Max codebook
        of 256 levels a feature that is fitted first, in two more passes; on normally
        distributed features the mean squared error is about 4e-5 of the variance.
    videos_a_shard : int
        Rows of a shard on average; fewer where these would be over 32 MiB of float32.
    codebook : str, optional
        Folder of the codebooks of the table, if ``features`` are codes.

    Raises
    ------
    InputError
        If the table has the wrong schema, no rows, no label at all or a row twice, if rows differ
        in width, a feature is null, NaN or infinite, beyond 65,504 where float16 is asked for, or
        a code is not of the codebook; for most of these it names the video.
    ValueError
        If ``dtype`` is none of the three or ``videos_a_shard`` is below 1.

    Notes
    -----
    The driver receives one row of about 200 bytes a shard. A task holds one shard at a time.
    """
    if dtype not in STORED_TYPES or videos_a_shard < 1:
        what = "dtype must be float32, float16 or uint8 and videos_a_shard at least 1"
        raise ValueError(f"{what}, got {dtype!r} and {videos_a_shard}")
    target = Path(folder).resolve()  # tasks may run in another directory
    target.mkdir(parents=True, exist_ok=True)
    (target / "shards.json").unlink(missing_ok=True)
    table = stored_table(features, str(target), dtype, codebook)
    most = max(1, _BYTES_A_SHARD // (4 * max(table.n_features, 1)))
    n_shards = -(-table.n_rows // min(videos_a_shard, most))
    rows = shuffled_to_files(table, str(target), n_shards=n_shards, seed=seed, dtype=dtype)
    shards = _set_of(str(target), rows, dtype, seed)
    description = {
        "format": _FORMAT,
        "dtype": dtype,
        "n_features": shards.n_features,
        "n_videos": shards.n_videos,
        "seed": seed,
        "digest": shards.digest,
        "sizes": list(shards.sizes),
        "file_bytes": [list(pair) for pair in shards.file_bytes],
    }
    save_json(target / "shards.json", description)
    return replace(shards, folder=folder)


def open_shards(folder: str, cache: str | None = None) -> ShardSet:
    """Shards that `write_shards` wrote to ``folder``.

    Parameters
    ----------
    folder : str
    cache : str, optional
        Folder on the local disk to copy each file to when it is first read (see
        `local_cache_for`).

    Raises
    ------
    InputError
        If the folder holds no finished shards, or a file is missing or of another size than it
        was written with.
    """
    path = Path(folder) / "shards.json"
    described = load_json(path)
    if described.get("format") != _FORMAT:
        found = described.get("format")
        raise InputError(
            "not shards of this version", where=str(path), expected=_FORMAT, found=found
        )
    try:
        shards = ShardSet(
            folder,
            tuple(described["sizes"]),
            int(described["n_features"]),
            str(described["dtype"]),
            tuple((int(x), int(y)) for x, y in described["file_bytes"]),
            str(described["digest"]),
            cache,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("not a description of shards", where=str(path), found=error) from None
    _check_files(shards)
    if cache is not None:
        prepare_cache(cache, shards.digest)
    return shards


def label_counts(features: DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entities (E,) that occur as labels, ascending, and of how many videos each is one.

    The result has a row an entity, whatever the number of videos.

    Raises
    ------
    InputError
        If there are no ``labels`` of array<int>.
    """
    require_columns(features, {"labels": INTS}, "table of videos")
    labels = features.select(F.explode(F.array_distinct("labels")).alias("entity"))
    counts = labels.where("entity is not null").groupBy("entity").count().orderBy("entity")
    table = counts.toPandas()
    return table["entity"].to_numpy(np.int64), table["count"].to_numpy(np.int64)


def _paths(folder: str, number: int) -> tuple[Path, Path]:
    return Path(folder) / feature_file(number), Path(folder) / label_file(number)


def _set_of(folder: str, rows: list[ShardRow], dtype: str, seed: int) -> ShardSet:
    """Shards that tasks have written, described."""
    digest: Any = hashlib.sha256(json.dumps([_FORMAT, dtype, rows[0].n_features, seed]).encode())
    for row in rows:
        digest.update(row.digest.encode())
    if dtype == "uint8":
        digest.update(load_codebooks(folder)["features"].digest.encode())
    return ShardSet(
        folder,
        tuple(row.n_videos for row in rows),
        rows[0].n_features,
        dtype,
        tuple((row.feature_bytes, row.label_bytes) for row in rows),
        digest.hexdigest(),
    )


def _check_files(shards: ShardSet) -> None:
    for number, sizes in enumerate(shards.file_bytes):
        for path, expected in zip(_paths(shards.folder, number), sizes, strict=True):
            try:
                found = f"{path.stat().st_size} bytes"
            except FileNotFoundError:
                found = "no file"
            if found != f"{expected} bytes":
                raise InputError(
                    "shard is not as it was written",
                    where=str(path),
                    expected=f"{expected} bytes",
                    found=found,
                )


@lru_cache(maxsize=4)
def _decoder(folder: str, dtype: str, _digest: str) -> Decoder:
    """Decoder of a set of shards; the codebook is read once a process."""
    book = load_codebooks(folder)["features"] if dtype == "uint8" else None
    return decoder_of(dtype, book)
