"""Shards to a table on storage, one part a shard, with a quarantine and a manifest beside it.

A shard whose bytes and options are those of an earlier conversion keeps its part.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql.types import (
    BooleanType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from yt8m_spark.artifacts import file_in_place
from yt8m_spark.errors import InputError
from yt8m_spark.formats.shards import shard_name
from yt8m_spark.manifest import (
    MANIFEST,
    QUARANTINE,
    Manifest,
    ShardEntry,
    digest_of,
    load_manifest,
    save_manifest,
)
from yt8m_spark.spark.counted import counting
from yt8m_spark.spark.parts import finish_table, write_part
from yt8m_spark.spark.read_options import ReadOptions
from yt8m_spark.spark.records import Piece, Rejected
from yt8m_spark.spark.scan import Scan, map_shards, plan_scan
from yt8m_spark.spark.schemas import arrow_schema
from yt8m_spark.spark.storage import open_file, read_whole, told_address

__all__ = ["QUARANTINE_SCHEMA", "Converted", "convert_shards"]

QUARANTINE_SCHEMA = StructType(
    [
        StructField("shard", StringType()),
        StructField("path", StringType()),
        StructField("record", LongType()),  # counted from 0, bad ones too
        StructField("offset", LongType()),  # byte where it starts, after unzipping
        StructField("n_bytes", LongType()),
        StructField("reason", StringType()),
    ]
)
_ENTRY = StructType(
    [
        StructField("path", StringType()),
        StructField("n_bytes", LongType()),
        StructField("sha256", StringType()),
        StructField("records", LongType()),
        StructField("bad_records", LongType()),
        StructField("part", StringType()),
        StructField("part_bytes", LongType()),
        StructField("part_sha256", StringType()),
        StructField("reused", BooleanType()),
    ]
)
# Counts up when the same shard would give another part than before.
_VERSION = "3"
_NEVER_CUT = 1 << 62
# Characters of a shard's name that Spark or a file system may not take in a file's name.
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_STEM = 80


class Converted(NamedTuple):
    """Figures of a conversion."""

    n_videos: int
    n_bad_records: int
    n_shards: int
    n_converted: int  # shards read; the parts of others were there already
    n_bytes: int  # of all shards


def convert_shards(
    spark: SparkSession,
    options: ReadOptions,
    folder: str,
    *,
    previous: str | None = None,
    heartbeats: str | None = None,
) -> Converted:
    """Write the table of the shards that ``options`` mean to ``folder``.

    One Parquet part a shard, written by the task that reads it. Beside the parts:
    ``_quarantine/``, a table of bad records (`QUARANTINE_SCHEMA`), and ``_manifest.json``.

    Parameters
    ----------
    spark : SparkSession
    options : ReadOptions
    folder : str
        New, or empty; all tasks must see it.
    previous : str, optional
        Folder of an earlier conversion. The part of a shard that has the same path, size and
        SHA-256 there, converted with the same options, is taken over instead of made again.
    heartbeats : str, optional
        Folder to count finished videos in (see `yt8m_spark.progress`).

    Raises
    ------
    InputError
        See `plan_scan`; in mode "failfast" a bad record fails the Spark task with one.

    Notes
    -----
    The driver receives one row of some hundred bytes a shard.
    """
    scan = plan_scan(options._replace(partition_bytes=_NEVER_CUT))
    path = Path(folder).resolve()
    (path / QUARANTINE).mkdir(parents=True, exist_ok=True)
    described = _describe(scan, options)
    usable = _usable(previous, described)
    task = partial(_convert, folder=str(path), previous=usable, heartbeats=heartbeats)
    rows = [row.asDict() for row in map_shards(spark, scan, task, _ENTRY).collect()]
    n_reused = sum(row.pop("reused") for row in rows)
    entries = [ShardEntry(**row) for row in rows]
    save_manifest(path, described, entries)
    _write_quarantine(path / QUARANTINE / "part-none.parquet", [])  # so that there is a table
    finish_table(path)
    return Converted(
        n_videos=sum(entry.records for entry in entries),
        n_bad_records=sum(entry.bad_records for entry in entries),
        n_shards=len(entries),
        n_converted=len(entries) - n_reused,
        n_bytes=sum(entry.n_bytes for entry in entries),
    )


def _describe(scan: Scan, options: ReadOptions) -> dict[str, str]:
    """All that decides what a shard becomes."""
    vocabulary = ""
    if options.vocabulary:
        vocabulary = hashlib.sha256(read_whole(options.vocabulary)).hexdigest()
    return {
        "version": _VERSION,
        "schema": scan.schema.json(),
        "mode": options.mode,
        "widths": json.dumps(scan.layout.widths),
        "mediapipe": str(scan.layout.mediapipe),
        "keys": ",".join((*options.keys.ids, options.keys.labels)),
        "vocabulary": vocabulary,
    }


def _usable(previous: str | None, described: dict[str, str]) -> str | None:
    """Folder ``previous`` if it holds a conversion with these options."""
    if previous is None:
        return None
    try:
        manifest = load_manifest(Path(previous))
    except InputError:
        return None  # nothing to take over from a damaged one; it will be replaced
    same = manifest is not None and manifest.options == described
    return str(Path(previous).resolve()) if same else None


def _convert(
    scan: Scan, number: int, folder: str, previous: str | None, heartbeats: str | None
) -> Iterator[pa.RecordBatch]:
    """Convert the shards of a partition, or take their parts over, and give their entries."""
    for piece in scan.partitions[number]:
        with open_file(piece.path) as file:
            sha256, n_bytes = digest_of(file)
        entry = _taken_over(piece.path, sha256, Path(folder), previous)
        reused = entry is not None
        if entry is None:
            entry = _convert_shard(scan, piece, sha256, n_bytes, Path(folder), heartbeats)
        row = entry._asdict() | {"reused": reused}
        yield pa.RecordBatch.from_pylist([row], schema=arrow_schema(_ENTRY))


def _convert_shard(
    scan: Scan, piece: Piece, sha256: str, n_bytes: int, folder: Path, heartbeats: str | None
) -> ShardEntry:
    part = _part_name(piece.path)
    rejected: list[Rejected] = []
    batches = counting(
        scan.batches.read(piece, rejected.extend), heartbeats, lambda batch: batch.num_rows
    )
    n_rows = write_part(batches, scan.schema, folder / part)
    if rejected:
        _write_quarantine(folder / QUARANTINE / part, rejected)
    return ShardEntry(
        path=told_address(piece.path),
        n_bytes=n_bytes,
        sha256=sha256,
        records=n_rows - (len(rejected) if scan.batches.keeps_bad_rows else 0),
        bad_records=len(rejected),
        part=part,
        part_bytes=(folder / part).stat().st_size,
        part_sha256=_digest_of_part(folder / part),
    )


def _taken_over(path: str, sha256: str, folder: Path, previous: str | None) -> ShardEntry | None:
    """Entry of a shard whose part was linked from ``previous``; None if it must be converted."""
    if previous is None:
        return None
    old = Path(previous)
    manifest = _cached_manifest(previous, (old / MANIFEST).stat().st_mtime_ns)
    entry = manifest.shards.get(told_address(path))
    # Addresses that differ in what signs them are one in the manifest, and have parts of their own.
    if entry is None or entry.sha256 != sha256 or entry.part != _part_name(path):
        return None
    part = old / entry.part
    if not part.exists() or _digest_of_part(part) != entry.part_sha256:
        return None
    bad = old / QUARANTINE / entry.part
    if entry.bad_records and not bad.exists():
        return None
    _link(part, folder / entry.part)
    if entry.bad_records:
        _link(bad, folder / QUARANTINE / entry.part)
    return entry


@lru_cache(maxsize=1)
def _cached_manifest(folder: str, _stamp: int) -> Manifest:
    return load_manifest(Path(folder)) or Manifest({}, {})


def _digest_of_part(part: Path) -> str:
    with part.open("rb") as file:
        return digest_of(file)[0]


def _link(source: Path, target: Path) -> None:
    """Give ``source`` a second name, or copy it where the file system has no links."""
    with file_in_place(target) as temporary:
        with suppress(FileNotFoundError):
            temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def _part_name(path: str) -> str:
    """File name of a shard's part, one that Spark reads; shards of one name have two."""
    stem = _ODD.sub("-", shard_name(path).split(".")[0])[:_LONGEST_STEM]
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
    # "part" in front: Spark hides names with _ and . there.
    return f"part-{stem}-{digest[:8]}.parquet"


def _write_quarantine(path: Path, rejected: Sequence[Rejected]) -> None:
    rows = [
        {
            "shard": shard_name(one.path),
            "path": told_address(one.path),
            "record": one.number,
            "offset": one.offset,
            "n_bytes": one.n_bytes,
            "reason": one.reason,
        }
        for one in rejected
    ]
    table = pa.Table.from_pylist(rows, schema=arrow_schema(QUARANTINE_SCHEMA))
    with file_in_place(path) as temporary:
        pq.write_table(table, temporary)
