# NOTE FROM THE LEAD TO HELPER A: this file overwrote yours by mistake at 02:21. Your own version is the one that counts: write it here again from your context (take anything useful from this one).
"""YouTube-8M's records: tf.train.Example (video level) and SequenceExample (frame level).

Axes: F frames, D features. Real video-level shards are no plain Examples: each record carries an
empty feature_lists too, and the order of the map's keys changes from record to record.
"""

from __future__ import annotations


from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
from yt8m_spark.formats.wire import (
    Field,
    WireError,
    encode_bytes,
    encode_varint,
    fields,
    read_bytes,
    read_floats,
    read_ints,
)

__all__ = [
    "FrameRecord",
    "Segments",
    "VideoRecord",
    "decode_frames",
    "decode_video",
    "detect_level",
    "encode_frames",
    "encode_video",
]

Ints = NDArray[np.int64]

_ID_KEYS = ("id", "video_id")  # 2018 on; 2016-17 and AudioSet
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_SEGMENT_KEYS = (
    "segment_start_times",
    "segment_end_times",
    "segment_labels",
    "segment_scores",
)


class Segments(NamedTuple):
    """Rated five-second pieces of a video (2019), S of them; times in seconds."""

    start_times: Ints  # (S,)
    end_times: Ints  # (S,)
    labels: Ints  # (S,)
    scores: NDArray[np.float32]  # (S,)


class VideoRecord(NamedTuple):
    """A video-level record."""

    video_id: str
    labels: Ints  # (L,), entity ids
    features: dict[str, NDArray[np.float32]]  # name: (D,)


class FrameRecord(NamedTuple):
    """A frame-level record; its feature lists may differ in length."""

    video_id: str
    labels: Ints  # (L,)
    features: dict[str, NDArray[np.uint8]]  # name: (F, D), one row a second
    segments: Segments | None


class _Parsed(NamedTuple):
    """Where the parts of a record lie: Feature values by key, FeatureLists by name."""

    context: dict[str, Field]  # the one field of each Feature; its number is the kind of list
    lists: dict[str, Field]


def detect_level(data: bytes, where: str = "record") -> Literal["frame", "video"]:
    """Level of a record: "frame" if it has frames, "video" if it has features of its own.

    Raises
    ------
    InputError
        If it has neither, or is no record of YouTube-8M's kind.
    """
    parsed = _parse(data, where)
    if any(field.end > field.start for field in parsed.lists.values()):
        return "frame"
    if _float_keys(parsed):
        return "video"
    found = ", ".join([*parsed.context, *parsed.lists]) or "nothing"
    raise InputError("no features", where=where, expected="frames or float lists", found=found)


def decode_video(data: bytes, where: str = "record") -> VideoRecord:
    """Record of video-level ``data``; every float list of it is a feature.

    Raises
    ------
    InputError
        If the bytes are no such record or lack an id. Names ``where``.
    """
    parsed = _parse(data, where)
    try:
        features = {key: _floats(data, parsed.context[key]) for key in _float_keys(parsed)}
        return VideoRecord(_video_id(data, parsed, where), _labels(data, parsed, where), features)
    except WireError as error:
        raise InputError("bytes are no Example", where=where, found=error) from None


def decode_frames(data: bytes, where: str = "record") -> FrameRecord:
    """Record of frame-level ``data``; frames are views of it where they can be.

    Raises
    ------
    InputError
        If the bytes are no such record, lack an id, or frames of a list differ in width.
    """
    parsed = _parse(data, where)
    try:
        features = {
            name: _frames(data, field, f"{where}, feature list {name!r}")
            for name, field in parsed.lists.items()
        }
        segments = _segments(data, parsed, where)
        video_id, labels = _video_id(data, parsed, where), _labels(data, parsed, where)
    except WireError as error:
        raise InputError("bytes are no SequenceExample", where=where, found=error) from None
    return FrameRecord(video_id, labels, features, segments)


def encode_video(record: VideoRecord) -> bytes:
    """Bytes of a video-level record, an Example with the release's keys."""
    context = _encode_context(record.video_id, record.labels)
    for name, values in record.features.items():
        context += _encode_entry(name, _encode_floats(values))
    return encode_bytes(1, context)


def encode_frames(record: FrameRecord) -> bytes:
    """Bytes of a frame-level record, a SequenceExample with the release's keys."""
    context = _encode_context(record.video_id, record.labels)
    if record.segments is not None:
        *ints, scores = record.segments
        for key, values in zip(_SEGMENT_KEYS, ints, strict=False):
            context += _encode_entry(key, _encode_ints(values))
        context += _encode_entry(_SEGMENT_KEYS[-1], _encode_floats(scores))
    lists = b"".join(
        _encode_entry(name, _encode_frame_list(codes)) for name, codes in record.features.items()
    )
    return encode_bytes(1, context) + encode_bytes(2, lists)


def _parse(data: bytes, where: str) -> _Parsed:
    """Find the parts of a record; of a key that comes twice the last one counts."""
    context: dict[str, Field] = {}
    lists: dict[str, Field] = {}
    try:
        for part in fields(data, 0, len(data)):
            if part.number == 1:
                for key, field in _entries(data, part):
                    context[key] = _only_field(data, field)
            elif part.number == 2:
                lists.update(_entries(data, part))
    except WireError as error:
        raise InputError("bytes are no Example", where=where, found=error) from None
    return _Parsed(context, lists)


def _entries(data: bytes, part: Field) -> list[tuple[str, Field]]:
    """Keys and values of the map that is field 1 of the message ``part``."""
    found = []
    for entry in fields(data, part.start, _message_end(part)):
        if entry.number != 1:
            continue
        key, value = "", Field(2, 2, entry.end, entry.end, 0)
        for field in fields(data, entry.start, _message_end(entry)):
            if field.number == 1:
                key = _text(data, field)
            elif field.number == 2:
                _message_end(field)
                value = field
        found.append((key, value))
    return found


def _only_field(data: bytes, feature: Field) -> Field:
    """The list inside a Feature, the last if there are more; an empty one has number 0."""
    kept = Field(0, 2, feature.end, feature.end, 0)
    for field in fields(data, feature.start, feature.end):
        if field.number in (_BYTES_LIST, _FLOAT_LIST, _INT64_LIST):
            _message_end(field)
            kept = field
    return kept


def _message_end(field: Field) -> int:
    """End of a field that must hold a message, bytes or text."""
    if field.wire_type != 2:
        raise WireError(f"field {field.number} has wire type {field.wire_type}, not 2")
    return field.end


def _text(data: bytes, field: Field) -> str:
    try:
        return data[field.start : _message_end(field)].decode()
    except UnicodeDecodeError:
        raise WireError(f"key at byte {field.start} is no text") from None


def _float_keys(parsed: _Parsed) -> list[str]:
    context = parsed.context.items()
    return [k for k, f in context if f.number == _FLOAT_LIST and k not in _SEGMENT_KEYS]


def _floats(data: bytes, field: Field) -> NDArray[np.float32]:
    return read_floats(data, field.start, field.end)


def _video_id(data: bytes, parsed: _Parsed, where: str) -> str:
    for key in _ID_KEYS:
        field = parsed.context.get(key)
        if field is not None and field.number == _BYTES_LIST:
            values = read_bytes(data, field.start, field.end)
            if len(values) == 1 and values[0]:
                return values[0].decode("utf-8", errors="backslashreplace")
    found = ", ".join(parsed.context) or "nothing"
    raise InputError("no video id", where=where, expected="a text `id` or `video_id`", found=found)


def _labels(data: bytes, parsed: _Parsed, where: str) -> Ints:
    labels = _ints(data, parsed, "labels", where)
    if len(labels) and not (labels.min() >= 0 and labels.max() < 1 << 31):
        wrong = int(labels[(labels < 0) | (labels >= 1 << 31)][0])
        raise InputError("label out of range", where=where, expected="0 to 2**31 - 1", found=wrong)
    return labels


def _ints(data: bytes, parsed: _Parsed, key: str, where: str) -> Ints:
    """Int64List ``key``; one that is missing or empty has no values."""
    field = parsed.context.get(key)
    if field is None or field.number == 0 or field.end == field.start:
        return np.empty(0, dtype=np.int64)
    if field.number != _INT64_LIST:
        kind = {_BYTES_LIST: "bytes", _FLOAT_LIST: "floats"}[field.number]
        raise InputError(f"wrong type of {key!r}", where=where, expected="integers", found=kind)
    return read_ints(data, field.start, field.end)


def _segments(data: bytes, parsed: _Parsed, where: str) -> Segments | None:
    if "segment_start_times" not in parsed.context:
        return None
    starts, ends, labels = (_ints(data, parsed, key, where) for key in _SEGMENT_KEYS[:3])
    field = parsed.context.get("segment_scores")
    scores = np.empty(0, np.float32) if field is None else _floats(data, field)
    sizes = {len(values) for values in (starts, ends, labels, scores)}
    if len(sizes) > 1:
        raise InputError("segment lists differ in length", where=where, found=sorted(sizes))
    return Segments(starts, ends, labels, scores)


def _frames(data: bytes, field: Field, where: str) -> NDArray[np.uint8]:
    """(F, D) frames of one FeatureList.

    All frames of a list have one width, so their entries have one stride: the header of the
    first is compared with all others at once, and the rest is a view.
    """
    size = field.end - field.start
    if size == 0:
        return np.empty((0, 0), dtype=np.uint8)
    first = _first_frame(data, field, where)
    stride, header = first.end - field.start, first.start - field.start
    if size % stride == 0:
        table = np.frombuffer(data, np.uint8, size, field.start).reshape(-1, stride)
        if (table[:, :header] == table[0, :header]).all():
            return table[:, header:]
    return _frames_one_by_one(data, field, where)


def _first_frame(data: bytes, field: Field, where: str) -> Field:
    """The bytes value of the first Feature of a FeatureList."""
    for feature in fields(data, field.start, field.end):
        return _frame_value(data, feature, where)
    raise InputError("no frames", where=where)


def _frame_value(data: bytes, feature: Field, where: str) -> Field:
    """The one bytes value of the Feature ``feature``."""
    values = []
    if feature.number == 1:
        kept = _only_field(data, feature._replace(end=_message_end(feature)))
        if kept.number == _BYTES_LIST:
            values = [f for f in fields(data, kept.start, kept.end) if f.number == 1]
    if len(values) != 1 or values[0].wire_type != 2 or values[0].end == values[0].start:
        raise InputError("a frame is not one bytes value", where=where)
    return values[0]


def _frames_one_by_one(data: bytes, field: Field, where: str) -> NDArray[np.uint8]:
    rows: list[NDArray[np.uint8]] = []
    for number, feature in enumerate(fields(data, field.start, field.end)):
        value = _frame_value(data, feature, f"{where}, frame {number}")
        row = np.frombuffer(data, np.uint8, value.end - value.start, value.start)
        if rows and len(row) != len(rows[0]):
            raise InputError(
                "feature widths differ",
                where=f"{where}, frame {number}",
                expected=len(rows[0]),
                found=len(row),
            )
        rows.append(row)
    return np.stack(rows)


def _encode_context(video_id: str, labels: Ints) -> bytes:
    id_list = encode_bytes(_BYTES_LIST, encode_bytes(1, video_id.encode()))
    return _encode_entry("id", id_list) + _encode_entry("labels", _encode_ints(labels))


def _encode_entry(key: str, value: bytes) -> bytes:
    """One entry of a map (field 1)."""
    return encode_bytes(1, encode_bytes(1, key.encode()) + encode_bytes(2, value))


def _encode_ints(values: Ints) -> bytes:
    packed = b"".join(encode_varint(value) for value in values.tolist())
    return encode_bytes(_INT64_LIST, encode_bytes(1, packed) if packed else b"")


def _encode_floats(values: NDArray[np.float32]) -> bytes:
    packed = np.ascontiguousarray(values, dtype="<f4").tobytes()
    return encode_bytes(_FLOAT_LIST, encode_bytes(1, packed) if packed else b"")


def _encode_frame_list(codes: NDArray[np.uint8]) -> bytes:
    """FeatureList of ``codes`` (F, D): the same header before every row."""
    n_frames, width = codes.shape
    bytes_list = encode_varint(1 << 3 | 2) + encode_varint(width)
    feature = encode_varint(1 << 3 | 2) + encode_varint(len(bytes_list) + width) + bytes_list
    entry = encode_varint(1 << 3 | 2) + encode_varint(len(feature) + width) + feature
    header = np.frombuffer(entry, dtype=np.uint8)
    table = np.empty((n_frames, len(header) + width), dtype=np.uint8)
    table[:, : len(header)] = header
    table[:, len(header) :] = codes
    return table.tobytes()
