"""Frames and videos tables as TFRecord shards: the ``yt8m`` format as Spark writes it.

``table.write.format("yt8m").mode("append").save("/data/frame")`` after `source.register`. A
frames table becomes SequenceExamples, a videos table video-level records as the released ones.
One partition gives one shard: repartition for other sizes. The folder must be on storage that
the driver and every task have mounted.

Modes. "append" adds shards and makes the folder if need be; "overwrite" replaces the shards in
it (those of the same ``prefix``, if there is one), and nothing else that it holds. Without a mode
Spark means "errorifexists", which it refuses for every data source in Python, as it does "ignore":
to be sure not to add to old shards, write with "append" to a folder of its own.

Options: ``compression`` (none, gzip), ``idKey`` (the name of the id: id, or video_id as in 2016-17
and AudioSet), ``prefix`` of the shards' names (train), ``features`` (``rgb:1024,audio:128``, where
the table does not know the widths).

A write happens whole or not at all: tasks write to a hidden folder inside the target, which the
driver empties into it when all are done. Of a task that ran twice, one shard counts.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql.datasource import DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import encode_frames, encode_video
from yt8m_spark.formats.record_types import SEGMENT_KEYS, FrameRecord, Keys, VideoRecord
from yt8m_spark.formats.tfrecord import write_records
from yt8m_spark.spark.read_options import parse_features
from yt8m_spark.spark.row_records import row_layout, row_records
from yt8m_spark.spark.storage import absolute, is_remote

__all__ = ["ShardWriter", "WriteOptions", "WrittenShard", "write_options"]

_NAMES = ("path", "compression", "idKey", "prefix", "features")
_COMPRESSIONS = ("none", "gzip")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # hidden names would not be read
_SHARD = re.compile(r"[^._].*\.tfrecord(\.gz)?", re.DOTALL)
# What may follow the prefix of a shard: 0093 and pj in the release's names, 00000-... in ours.
_AFTER_PREFIX = re.compile(r"([0-9]+(-.*)?|[0-9A-Za-z]{2})\.tfrecord(\.gz)?", re.DOTALL)


class WriteOptions(NamedTuple):
    """How to write shards."""

    folder: str
    compress: bool
    id_key: str
    prefix: str | None
    widths: dict[str, int]  # D of features whose columns do not tell it


def write_options(given: Mapping[str, str]) -> WriteOptions:
    """Check the options of a writer; their names may be in upper or lower case.

    Raises
    ------
    InputError
        If one is unknown or has no such value, or the folder cannot be one.
    """
    known = {name.lower(): name for name in _NAMES}
    values: dict[str, str] = {}
    for name, value in given.items():
        if name.lower() not in known:
            expected = " or ".join(_NAMES)
            raise InputError(f"unknown option {name!r} to write format yt8m", expected=expected)
        values[known[name.lower()]] = value
    compression = values.get("compression", "none").lower()
    if compression not in _COMPRESSIONS:
        expected = " or ".join(_COMPRESSIONS)
        raise InputError("unknown compression", expected=expected, found=compression)
    prefix, id_key = values.get("prefix"), values.get("idKey", "id")
    if prefix is not None and not _PREFIX.fullmatch(prefix):
        raise InputError("option 'prefix' starts no name", expected="train, say", found=prefix)
    if id_key in ("", "labels", *SEGMENT_KEYS):
        raise InputError("option 'idKey' is no free name", expected="id or video_id", found=id_key)
    widths = parse_features(values["features"]) if "features" in values else {}
    return WriteOptions(_folder(values), compression == "gzip", id_key, prefix, widths)


@dataclass
class WrittenShard(WriterCommitMessage):
    """What a task tells the driver."""

    name: str | None  # of the file in the hidden folder; None: the partition had no rows
    widths: dict[str, int]  # D of each feature; 0 where no video has a frame


class ShardWriter(DataSourceArrowWriter):
    """Writes a table to a folder.

    Parameters
    ----------
    schema : StructType
        Of the table.
    options : mapping of str to str
    overwrite : bool
        Whether the shards that are there go when the new ones come.

    Raises
    ------
    InputError
        If an option is wrong or the table cannot be written without loss.
    """

    def __init__(self, schema: StructType, options: Mapping[str, str], overwrite: bool) -> None:
        self._options = write_options(options)
        self._layout = row_layout(schema, self._options.widths)
        if self._options.id_key in self._layout.widths:
            raise InputError(f"a feature has the name of the id, {self._options.id_key!r}")
        self._overwrite = overwrite
        self._write_id = uuid.uuid4().hex[:12]
        self._staging = os.path.join(self._options.folder, f".yt8m-{self._write_id}")
        self._absent = _absent_folders(self._options.folder)

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WrittenShard:
        """Write the rows of one partition to the hidden folder."""
        os.makedirs(self._staging, exist_ok=True)
        name = f"{uuid.uuid4().hex}.tfrecord"  # Spark may run a task twice at once
        path = os.path.join(self._staging, name)
        widths = dict(self._layout.widths)
        count = write_records(
            path, self._encoded(iterator, widths), compress=self._options.compress
        )
        if not count:
            os.unlink(path)
        return WrittenShard(name if count else None, widths)

    def commit(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Bring the shards of ``messages``, one a partition and in order, into the folder."""
        try:
            shards = [message for message in messages if isinstance(message, WrittenShard)]
            _check_one_width(shards)
            if self._overwrite:
                self._set_aside_old()
            for number, shard in enumerate(s.name for s in shards if s.name is not None):
                os.rename(os.path.join(self._staging, shard), self._shard_path(number))
            os.makedirs(self._options.folder, exist_ok=True)  # for a table without partitions
        except BaseException:
            self.abort(messages)
            raise
        shutil.rmtree(self._staging, ignore_errors=True)

    def abort(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Leave the folder as it was."""
        folder = glob.escape(self._options.folder)
        for path in glob.glob(f"{folder}/*-{self._write_id}.tfrecord*"):
            os.unlink(path)
        for path in glob.glob(f"{glob.escape(self._old)}/*"):
            os.rename(path, os.path.join(self._options.folder, os.path.basename(path)))
        shutil.rmtree(self._staging, ignore_errors=True)
        for made in self._absent:
            with suppress(OSError):  # somebody else has put something there
                os.rmdir(made)

    @property
    def _old(self) -> str:
        """Where the shards to be replaced wait until the new ones are in place."""
        return os.path.join(self._staging, "old")

    def _set_aside_old(self) -> None:
        """Take the shards that the writer could have made out of the folder."""
        os.makedirs(self._old, exist_ok=True)
        for entry in list(os.scandir(self._options.folder)):
            if entry.is_file() and self._is_replaced(entry.name):
                os.rename(entry.path, os.path.join(self._old, entry.name))

    def _is_replaced(self, name: str) -> bool:
        """Whether a file is a shard of those that an overwrite replaces."""
        prefix = self._options.prefix
        if prefix is None:
            return _SHARD.fullmatch(name) is not None
        after = name.removeprefix(prefix)
        return name.startswith(prefix) and _AFTER_PREFIX.fullmatch(after) is not None

    def _shard_path(self, number: int) -> str:
        """Path of shard ``number``; the id of the write keeps it from meeting another."""
        stem = f"{self._options.prefix or 'part'}{number:05d}-{self._write_id}.tfrecord"
        ending = ".gz" if self._options.compress else ""
        return os.path.join(self._options.folder, stem + ending)

    def _encoded(
        self, batches: Iterable[pa.RecordBatch], widths: dict[str, int]
    ) -> Iterator[bytes]:
        """Every row as a record."""
        keys = Keys((self._options.id_key,))
        for batch in batches:
            for record in row_records(batch, self._layout, widths):
                yield _encode(record, keys)


def _folder(values: Mapping[str, str]) -> str:
    """Absolute path of the folder to write to."""
    if not values.get("path"):
        raise InputError("no folder to write to", expected='a path: .save("/data/frame")')
    path = values["path"]
    if is_remote(path):
        expected = "a path that the driver and every task can open"
        raise InputError("not a mounted file system", where=path, expected=expected)
    folder = os.path.normpath(absolute(path))
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise InputError("not a folder", where=path)
    return folder


def _absent_folders(folder: str) -> list[str]:
    """``folder`` and the folders above it that are not there, innermost first."""
    absent = []
    while not os.path.exists(folder):
        absent.append(folder)
        folder = os.path.dirname(folder)
    return absent


def _check_one_width(shards: Iterable[WrittenShard]) -> None:
    """Refuse shards of which each has one width, but not all the same."""
    found: dict[str, int] = {}
    for shard in shards:
        for name, width in shard.widths.items():
            if width and found.setdefault(name, width) != width:
                raise InputError(
                    "widths differ between partitions",
                    where=f"column {name!r}",
                    expected=found[name],
                    found=width,
                )


def _encode(record: FrameRecord | VideoRecord, keys: Keys) -> bytes:
    """Record as the release has it."""
    if isinstance(record, VideoRecord):
        return encode_video(record, keys=keys)
    return encode_frames(record, keys=keys)
