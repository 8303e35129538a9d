"""Which shards a training reads, and how many videos each holds.

A unit is what is read at once: a TFRecord file, or a row group of a Parquet frames table. How many
videos it has is in the footer of a Parquet file and, of a TFRecord file, told by the 12 bytes in
front of each record; only gzip'ed files are read in full for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from yt8m_spark.artifacts import load_json, staged_file
from yt8m_spark.errors import InputError
from yt8m_spark.formats.framing import FRAMING, HEADER, LONGEST_RECORD, is_gzip, record_length
from yt8m_spark.formats.mounted_paths import mounted
from yt8m_spark.formats.shards import match_shards
from yt8m_spark.formats.tfrecord import Damage, raise_damage, scan_records
from yt8m_spark.manifest import check_manifest

__all__ = [
    "NO_ROW_GROUP",
    "PARQUET",
    "TFRECORD",
    "ShardIndex",
    "Unit",
    "index_shards",
    "load_index",
    "offset_of_record",
    "save_index",
]

PARQUET, TFRECORD = "parquet", "tfrecord"
NO_ROW_GROUP = -1  # of a unit that is a whole file

_FORMAT = 1
_MAGIC = b"PAR1"
_FILES_AT_ONCE = 16  # they wait for storage, not for the processor


class Unit(NamedTuple):
    """A part of the input that is read at once."""

    path: str
    row_group: int  # NO_ROW_GROUP: a TFRecord file
    n_videos: int


class ShardIndex(NamedTuple):
    """All units of an input, those without videos left out."""

    units: tuple[Unit, ...]
    kind: str  # PARQUET or TFRECORD

    @property
    def counts(self) -> NDArray[np.int64]:
        """Videos of each unit, (U,)."""
        return np.array([unit.n_videos for unit in self.units], np.int64)

    @property
    def n_videos(self) -> int:
        """Videos of all units."""
        return int(self.counts.sum())


def index_shards(source: str) -> ShardIndex:
    """Find the shards of ``source`` and count their videos.

    Parameters
    ----------
    source : str
        TFRecord files, gzip'ed or not, as `match_shards` finds them; or a Parquet frames table, a
        folder (with its subfolders), a file or a pattern of files. Hidden files, and those whose
        names start with ``_``, are left out. All ranks must see it under that name.

    Raises
    ------
    InputError
        If nothing is there, files are of both kinds, a file is damaged (with the record), the
        table lacks a part of its manifest, or there is no video.
    """
    paths = _table_files(source) or match_shards(source)
    kinds = {_kind(path) for path in paths}
    if len(kinds) > 1:
        raise InputError("files of two kinds", where=source, expected="Parquet or TFRecord files")
    kind = kinds.pop()
    count = _row_groups if kind == PARQUET else _whole_file
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        units = [unit for found in pool.map(count, paths) for unit in found if unit.n_videos]
    if not units:
        raise InputError("no videos", where=source, expected="one at least", found="none")
    return ShardIndex(tuple(units), kind)


def save_index(path: str | Path, index: ShardIndex) -> None:
    """Write ``index`` as JSON, by way of a temporary name."""
    described = {"format": _FORMAT, "kind": index.kind, "units": index.units}
    # Not save_json, which puts each number on a line of its own.
    with staged_file(Path(path)) as temporary:
        temporary.write_text(json.dumps(described) + "\n")


def load_index(path: str | Path) -> ShardIndex:
    """Read what `save_index` wrote.

    Raises
    ------
    InputError
        If the file is none of that.
    """
    described = load_json(Path(path))
    try:
        if described["format"] != _FORMAT or described["kind"] not in (PARQUET, TFRECORD):
            raise ValueError(f"format {described['format']}, kind {described['kind']}")
        units = [Unit(str(name), int(group), int(n)) for name, group, n in described["units"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("not an index of shards", where=str(path), found=repr(error)) from None
    return ShardIndex(tuple(units), described["kind"])


def offset_of_record(file: IO[bytes], path: str, number: int | None) -> tuple[int, int]:
    """Byte where record ``number`` of a plain TFRecord file starts, and the records before it.

    Only headers are read. None for ``number``, or one past the end, gives the end of the file and
    how many records there are.

    Raises
    ------
    InputError
        If a header is damaged or the file is cut short; it names the record.
    """
    descriptor, size = file.fileno(), os.fstat(file.fileno()).st_size
    offset = n_records = 0
    while offset < size and n_records != number:
        length = record_length(os.pread(descriptor, HEADER.size, offset))
        if length is None or length > LONGEST_RECORD or offset + length + FRAMING > size:
            _refuse(scan_records(file, path, start=offset, first_number=n_records), path)
        offset, n_records = offset + (length or 0) + FRAMING, n_records + 1
    return offset, n_records


def _table_files(source: str) -> list[str]:
    """Files of the Parquet table in the folder ``source``; none if it is no such folder."""
    root = Path(mounted(source))
    if not root.is_dir():
        return []
    check_manifest(root)
    found = root.rglob("*.parquet")
    seen = [
        path
        for path in found
        if not any(part.startswith((".", "_")) for part in path.relative_to(root).parts)
    ]
    return sorted(str(path.absolute()) for path in seen if path.is_file())


def _kind(path: str) -> str:
    with _opened(path) as file:
        return PARQUET if file.read(len(_MAGIC)) == _MAGIC else TFRECORD


def _opened(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from None


def _row_groups(path: str) -> list[Unit]:
    """Units of a Parquet file."""
    try:
        with pq.ParquetFile(path) as file:
            footer = file.metadata
            counts = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError("not a Parquet file", where=path, found=error) from None
    return [Unit(path, group, n_videos) for group, n_videos in enumerate(counts)]


def _whole_file(path: str) -> list[Unit]:
    """The one unit of a TFRecord file."""
    with _opened(path) as file:
        if is_gzip(file.read(HEADER.size)):
            n_videos = _count_sound(scan_records(file, path), path)
        else:
            n_videos = offset_of_record(file, path, None)[1]
    return [Unit(path, NO_ROW_GROUP, n_videos)]


def _count_sound(scanned: Iterable[object], path: str) -> int:
    """Records of a file, every one of which must be sound."""
    n_records = 0
    for found in scanned:
        if isinstance(found, Damage):
            raise_damage(path, found)
        n_records += 1
    return n_records


def _refuse(scanned: Iterable[object], path: str) -> None:
    """Refuse the damage that a scan from there finds."""
    if not _count_sound(scanned, path):
        raise InputError("is being written", where=path)
