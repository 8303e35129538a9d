"""Videos of a shard with the frames that a training takes of them (paper §4.1).

Axes: F frames, D features, L labels, N frames of a batch of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from yt8m_spark.core.frame_sampling import video_number
from yt8m_spark.deep.shard_index import NO_ROW_GROUP, Unit, offset_of_record
from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import FrameRecord, decode_frames
from yt8m_spark.formats.framing import HEADER, is_gzip
from yt8m_spark.formats.tfrecord import Damage, Record, raise_damage, scan_records

__all__ = ["FrameKey", "Video", "choose_stretch", "choose_with_repeats", "read_videos"]

Ints = NDArray[np.int64]
Codes = NDArray[np.uint8]

# What a conversion in mode "permissive" tells of a record that it could not read, in its row.
_CORRUPT = "_corrupt_record"


class Video(NamedTuple):
    """One video, its frames views of what was read."""

    video_id: str
    labels: Ints  # (L,) entity ids
    lists: tuple[Codes, ...]  # (F_i, D_i) of each feature list
    where: str  # file and record or row, for errors

    @property
    def n_frames(self) -> int:
        """Frames that it has: the seconds that all its lists have."""
        return min(len(codes) for codes in self.lists)


class FrameKey(NamedTuple):
    """What alone decides which frames of a video are chosen: not who reads it, nor where from."""

    seed: int
    epoch: int
    video_id: str

    def rng(self) -> np.random.Generator:
        """The generator that chooses; to make one costs more than to use it."""
        return np.random.default_rng([self.seed, self.epoch, video_number(self.video_id)])


def read_videos(unit: Unit, start: int, stop: int, widths: Mapping[str, int]) -> Iterator[Video]:
    """Videos ``start`` to ``stop`` - 1 of ``unit``, in its order.

    Parameters
    ----------
    unit : Unit
    start, stop : int
        Of a TFRecord file the records before are passed over by their headers, or unzipped.
    widths : mapping of str to int
        Feature lists and their widths D_i, in order. A list that a video lacks has no frames. The
        row of a corrupt record in a table is a video "" without frames and labels.

    Raises
    ------
    InputError
        If the unit is damaged, no longer has these videos, or a list is of another width. It names
        the file, and the record or row.
    """
    read = _read_records if unit.row_group == NO_ROW_GROUP else _read_rows
    n_read = 0
    for n_read, video in enumerate(read(unit, start, stop, widths), 1):  # noqa: B007 - used below
        yield video
    if n_read != stop - start:
        raise InputError(
            "file has changed since it was indexed",
            where=unit.path,
            expected=f"videos {start} to {stop - 1}",
            found=f"{n_read} of them",
        )


def choose_with_repeats(n_available: int, n_frames: int, key: FrameKey) -> Ints:
    """Random frames of a video, (n_frames,): without replacement and ascending.

    Paper: §4.1.2. Of a video that has fewer, all of them again and again, in turn (ours): DBoF
    takes as many frames of each video. ``n_available`` is 1 or more.
    """
    if n_available <= n_frames:
        return np.arange(n_frames, dtype=np.int64) % n_available
    return np.sort(key.rng().choice(n_available, n_frames, replace=False, shuffle=False))


def choose_stretch(n_available: int, n_frames: int, key: FrameKey) -> slice:
    """At most ``n_frames`` frames on end, from a random one on; all if it is 0."""
    if not n_frames or n_available <= n_frames:
        return slice(0, n_available)
    start = int(key.rng().integers(n_available - n_frames + 1))
    return slice(start, start + n_frames)


def _read_records(unit: Unit, start: int, stop: int, widths: Mapping[str, int]) -> Iterator[Video]:
    for record in _records(unit, start, stop):
        where = f"{unit.path}, record {record.number}"
        decoded = decode_frames(record.data, features=widths, where=where)
        lists = tuple(_list_of(decoded, name, width, where) for name, width in widths.items())
        yield Video(decoded.video_id, decoded.labels, lists, where)


def _records(unit: Unit, start: int, stop: int) -> Iterator[Record]:
    """Records ``start`` to ``stop`` - 1 of a TFRecord file; fewer if it ends before."""
    try:
        file = open(unit.path, "rb")  # noqa: SIM115 - closed below; only opening may be refused here
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=unit.path) from None
    with file:
        zipped = is_gzip(file.read(HEADER.size))
        offset, number = (0, 0) if zipped else offset_of_record(file, unit.path, start)
        for found in scan_records(file, unit.path, start=offset, first_number=number):
            if isinstance(found, Damage):
                raise_damage(unit.path, found)
            if found.number >= start:
                yield found
            if found.number == stop - 1:
                return


def _list_of(record: FrameRecord, name: str, width: int, where: str) -> Codes:
    """Frames (F, D) of a feature list."""
    codes = record.features.get(name)
    if codes is None or not len(codes):
        return np.empty((0, width), np.uint8)
    if codes.shape[1] != width:
        raise InputError(
            f"frames of {name!r} are of another width",
            where=where,
            expected=f"{width} bytes",
            found=codes.shape[1],
        )
    return codes


def _read_rows(unit: Unit, start: int, stop: int, widths: Mapping[str, int]) -> Iterator[Video]:
    table = _row_group(unit.path, unit.row_group, tuple(widths))
    place = f"{unit.path}, row group {unit.row_group}"
    for batch in table.slice(start, stop - start).to_batches():
        yield from _videos_of_rows(batch, start, widths, place)
        start += batch.num_rows


@lru_cache(maxsize=1)
def _row_group(path: str, row_group: int, names: tuple[str, ...]) -> pa.Table:
    """The columns that are read, of a row group.

    The last one is kept: windows smaller than it follow one another. The rows of corrupt records
    have the id "", no labels and no frames.
    """
    columns = ["video_id", "labels", *names]
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                found = ", ".join(file.schema_arrow.names)
                raise InputError(f"no column {missing[0]!r}", where=path, found=found)
            told = [_CORRUPT] if _CORRUPT in file.schema_arrow.names else []
            table = file.read_row_group(row_group, columns=columns + told, use_threads=False)
        table = _without_corrupt(table) if told else table
        wanted = [pa.string(), pa.list_(pa.int64()), *(pa.binary() for _ in names)]
        fields = [pa.field(name, kind) for name, kind in zip(columns, wanted, strict=True)]
        return table.select(columns).cast(pa.schema(fields))
    except (OSError, ValueError, IndexError, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        where = f"{path}, row group {row_group}"
        raise InputError("row group cannot be read", where=where, found=error) from None


def _without_corrupt(table: pa.Table) -> pa.Table:
    """``table`` with nothing in the rows of corrupt records: they stay, as they were counted."""
    is_sound = pc.and_(pc.is_null(table[_CORRUPT]), pc.is_valid(table["video_id"]))
    if pc.all(is_sound).as_py() is not False:
        return table
    # In place of each such row comes row n, which is added: all of it is null.
    places = np.arange(len(table))
    places[~is_sound.to_numpy()] = len(table)
    nothing = pa.table([pa.nulls(1, field.type) for field in table.schema], schema=table.schema)
    taken = pa.concat_tables([table, nothing]).take(places)
    ids = pc.fill_null(taken["video_id"], "")
    return taken.set_column(taken.schema.get_field_index("video_id"), "video_id", ids)


def _videos_of_rows(
    batch: pa.RecordBatch, first: int, widths: Mapping[str, int], place: str
) -> Iterator[Video]:
    """Videos of ``batch``, whose first row is ``first`` of its row group."""
    ids = batch.column("video_id").to_pylist()
    labels = batch.column("labels")
    if None in ids or labels.values.null_count:
        raise InputError("null video_id or entity id", where=place)
    ends, values = _offsets(labels), labels.values.to_numpy()
    columns = [
        (*_bytes_of(batch.column(name), name, width, (place, first)), width)
        for name, width in widths.items()
    ]
    for row, video_id in enumerate(ids):
        lists = tuple(
            flat[offsets[row] : offsets[row + 1]].reshape(-1, width)
            for flat, offsets, width in columns
        )
        label_values = values[ends[row] : ends[row + 1]]
        yield Video(video_id, label_values, lists, f"{place}, row {first + row}")


def _bytes_of(
    column: pa.Array, name: str, width: int, place: tuple[str, int]
) -> tuple[Codes, list[int]]:
    """All bytes of a feature list, a view, and where those of each video start."""
    offsets = _offsets(column)
    lengths = np.diff(offsets)
    if (lengths % width).any():
        row = int(np.argmax(lengths % width != 0))
        raise InputError(
            f"feature list {name!r} holds no whole number of frames",
            where=f"{place[0]}, row {place[1] + row}",
            expected=f"a multiple of {width} bytes",
            found=f"{lengths[row]} bytes",
        )
    return np.frombuffer(column.buffers()[2] or b"", np.uint8), offsets


def _offsets(column: pa.Array) -> list[int]:
    """Where the values of each row start, and where the last ones end; a null has none."""
    stored = np.frombuffer(column.buffers()[1] or bytes(4), np.int32)
    found: list[int] = stored[column.offset : column.offset + len(column) + 1].tolist()
    return found
