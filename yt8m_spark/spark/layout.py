"""What the records of a set of shards look like, told from the first of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pyspark.sql.types import DataType, StringType, StructField, StructType

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import decode_frames, decode_video, detect_level
from yt8m_spark.formats.mediapipe import decode_mediapipe, is_mediapipe
from yt8m_spark.formats.record_types import FrameRecord
from yt8m_spark.formats.tfrecord import Damage, Record, raise_damage, scan_records
from yt8m_spark.spark.read_options import ReadOptions
from yt8m_spark.spark.schemas import FRAME_COLUMNS, SEGMENT_FIELDS, frames_schema, videos_schema
from yt8m_spark.spark.storage import ShardFile, open_file

__all__ = ["Layout", "check_columns", "check_schema", "corrupt_field", "find_layout"]

# A video without a frame of a list does not tell the width; so many records are asked for it.
_RECORDS_EXAMINED = 100


class Layout(NamedTuple):
    """Level, features and dialect of records."""

    level: str
    widths: dict[str, int]  # D of each feature; 0 where no record examined has a frame
    segments: bool = False
    mediapipe: bool = False

    @property
    def schema(self) -> StructType:
        """Schema of all columns."""
        if self.level == "frame":
            return frames_schema(self.widths, segments=self.segments)
        return videos_schema(list(self.widths))


def corrupt_field(options: ReadOptions) -> list[StructField]:
    """Field of the column of corrupt records, if the mode has one."""
    if options.mode != "permissive":
        return []
    return [StructField(options.corrupt_record, StringType())]


def find_layout(files: Sequence[ShardFile], options: ReadOptions) -> Layout:
    """Layout of the first records that there are, or of those that ``options`` name.

    Raises
    ------
    InputError
        If there is no record, the first is of another level than asked for, or lacks a feature
        that the options name or has it in another width. In mode "failfast" also if one of the
        first is bad; the other modes pass on to the next.
    """
    layout: Layout | None = None
    n_good = n_bad = 0
    for path, item in _records(files):
        try:
            if isinstance(item, Damage):
                raise_damage(path, item)
            found = _layout_of(item, path, options)
        except InputError:
            if options.mode == "failfast":
                raise
            n_bad += 1
            continue
        layout = found if layout is None else _with_widths(layout, found)
        n_good += 1
        if n_good == _RECORDS_EXAMINED or all(layout.widths.values()):
            break
    if layout is None:
        instead = f"{n_bad} bad ones" if n_bad else f"{len(files)} empty files"
        raise InputError("no records", where=files[0].path, found=instead)
    return _chosen(layout, options.features, files[0].path)


def check_schema(schema: StructType, layout: Layout, options: ReadOptions) -> None:
    """Refuse a schema with a column that there is not, or of another type."""
    fields = [*layout.schema, *corrupt_field(options)]
    known = {field.name: field.dataType for field in fields}
    if layout.level == "frame":
        known |= {field.name: field.dataType for field in SEGMENT_FIELDS}
    corrupt = options.corrupt_record
    if corrupt_field(options) and corrupt.lower() in (f.name.lower() for f in layout.schema):
        raise InputError("a column has the name of the column of corrupt records", found=corrupt)
    taken = sorted(set(layout.widths) & ({"video_id", "labels", "n_frames"} | FRAME_COLUMNS))
    if taken:
        raise InputError(f"a feature has the name of the column {taken[0]!r}", where="records")
    check_columns(schema, known)


def check_columns(schema: StructType, known: Mapping[str, DataType]) -> None:
    """Refuse a field of ``schema`` that is not ``known``, name and type."""
    if len(schema) != len(set(schema.names)) or not len(schema):
        raise InputError(
            "schema of the records", expected="columns, each once", found=", ".join(schema.names)
        )
    for field in schema:
        if field.name not in known:
            columns = ", ".join(known)
            raise InputError(
                f"no column {field.name!r}", where="the records", expected=f"one of {columns}"
            )
        wanted, found = known[field.name].simpleString(), field.dataType.simpleString()
        if wanted != found:
            raise InputError(
                f"column {field.name!r} of the schema has the wrong type",
                expected=wanted,
                found=found,
            )


def _records(files: Iterable[ShardFile]) -> Iterator[tuple[str, Record | Damage]]:
    """Path and record of every record."""
    for file in files:
        with open_file(file.path) as opened:
            for item in scan_records(opened, file.path):
                yield file.path, item


def _layout_of(record: Record, path: str, options: ReadOptions) -> Layout:
    """Layout of one record."""
    where = f"{path}, record {record.number}"
    level = detect_level(record.data, where=where)
    if options.level not in ("auto", level):
        raise InputError(
            "records are of the wrong level", where=where, expected=options.level, found=level
        )
    if level == "frame":
        mediapipe = is_mediapipe(record.data)
        frames = _frames(record, options, where, mediapipe=mediapipe)
        widths = {name: codes.shape[1] for name, codes in frames.features.items()}
        layout = Layout(level, _ordered(widths), frames.segments is not None, mediapipe)
    else:
        video = decode_video(record.data, keys=options.keys, where=where)
        widths = {name: len(values) for name, values in video.features.items()}
        layout = Layout(level, _ordered(widths))
    if not layout.widths:
        raise InputError("record has no features", where=where, expected="frames or float lists")
    return layout


def _frames(record: Record, options: ReadOptions, where: str, *, mediapipe: bool) -> FrameRecord:
    if mediapipe:
        return decode_mediapipe(record.data, where=where)
    return decode_frames(record.data, keys=options.keys, where=where)


def _with_widths(layout: Layout, other: Layout) -> Layout:
    """``layout`` with the widths that it lacks from ``other``."""
    widths = {name: width or other.widths.get(name, 0) for name, width in layout.widths.items()}
    return layout._replace(widths=widths)


def _chosen(layout: Layout, features: Mapping[str, int] | None, path: str) -> Layout:
    """``layout`` with the features that were asked for, in their widths."""
    if features is None:
        return layout
    for name, width in features.items():
        if name not in layout.widths:
            known = ", ".join(layout.widths)
            raise InputError(f"no feature {name!r}", where=path, expected=f"one of {known}")
        found = layout.widths[name]
        if width and found and width != found:
            raise InputError(
                f"feature {name!r} has another width", where=path, expected=width, found=found
            )
    widths = {name: width or layout.widths[name] for name, width in features.items()}
    return layout._replace(widths=widths)


def _ordered(widths: Mapping[str, int]) -> dict[str, int]:
    """Rgb, then audio, then by name: the keys of a record come in any order."""

    def rank(name: str) -> tuple[int, str]:
        last = name.rpartition("_")[2]
        return (("rgb", "audio").index(last) if last in ("rgb", "audio") else 2), name

    return {name: widths[name] for name in sorted(widths, key=rank)}
