"""YouTube-8M records: tf.train.Example and SequenceExample to arrays and back.

A record of either level is a message with the context features in field 1 and the feature lists
in field 2; the released video-level records carry an empty field 2.

Axes: F frames, D features, L labels, S segments.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
from yt8m_spark.formats.features import (
    BYTES,
    FLOATS,
    INTS,
    Feature,
    bytes_feature,
    check_kind,
    encode_entry,
    floats_feature,
    ints_feature,
    read_feature,
    read_map,
    utf8,
)
from yt8m_spark.formats.frames import decode_frame_list, encode_frame_list
from yt8m_spark.formats.wire import (
    LENGTH,
    Span,
    WireError,
    encode_bytes,
    fields,
    floats,
    ints,
    messages,
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

_IDS = ("id", "video_id")  # 2018 and later; 2016-17 and AudioSet
_SEGMENT_INTS = ("segment_start_times", "segment_end_times", "segment_labels")
_SEGMENT_SCORES = "segment_scores"

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Context = dict[str, Feature]


class VideoRecord(NamedTuple):
    """A video-level record."""

    video_id: str
    labels: Ints  # (L,) entity ids
    features: dict[str, Floats]  # (D,) each, by name: mean_rgb, mean_audio


class Segments(NamedTuple):
    """Rated segments of a video (2019); an array that the record lacks is empty."""

    start_times: Ints  # (S,) seconds
    end_times: Ints  # (S,) seconds
    labels: Ints  # (S,) entity ids
    scores: Floats  # (S,) 1 where raters saw the entity, else 0


class FrameRecord(NamedTuple):
    """A frame-level record."""

    video_id: str
    labels: Ints  # (L,) entity ids
    features: dict[str, NDArray[np.uint8]]  # (F, D) each, by name: rgb, audio; (0, 0) if no frame
    segments: Segments | None


def detect_level(data: bytes, *, where: str = "record") -> str:
    """Return ``"frame"`` if the record has a feature list, else ``"video"``.

    Raises
    ------
    InputError
        If the record is malformed.
    """
    try:
        _, lists = _split(data)
        return "frame" if any(True for span in lists for _ in messages(span, 1)) else "video"
    except InputError as error:
        raise _located(error, where) from None


def decode_video(
    data: bytes, *, features: Collection[str] | None = None, where: str = "record"
) -> VideoRecord:
    """Decode a video-level record.

    Parameters
    ----------
    data : bytes
        An Example, or a SequenceExample without feature lists (as released).
    features : collection of str, optional
        Names to decode; default every feature of floats. Absent ones are the caller's to miss.
    where : str
        Place of the record, for the error.

    Returns
    -------
    VideoRecord
        Its arrays may be read-only. Features of other kinds than float are left out; labels are
        empty where the record has none (Test).

    Raises
    ------
    InputError
        If the record is malformed, is frame level, has no id, or id and labels of the wrong kind;
        or if a feature holds no value or one that is not finite (NaN would spread into every
        mean and weight).
    """
    try:
        context, lists = _read(data)
        if lists:
            raise InputError("not a video-level record", found=f"feature lists {sorted(lists)}")
        decoded = {
            name: _finite(name, floats(feature.content))
            for name, feature in context.items()
            if feature.kind == FLOATS and (features is None or name in features)
        }
        return VideoRecord(_video_id(context), _int_feature(context, "labels"), decoded)
    except InputError as error:
        raise _located(error, where) from None


def decode_frames(data: bytes, *, where: str = "record") -> FrameRecord:
    """Decode a frame-level record.

    Lists may differ in length (audio is often a frame or two shorter than rgb); all are kept as
    they are. Context features other than the id, the labels and the segments are left out.

    Raises
    ------
    InputError
        If the record is malformed, has no feature list, no id, or features of the wrong kind; or
        if the frames of a list are empty or differ in width.
    """
    try:
        context, lists = _read(data)
        if not lists:
            raise InputError("not a frame-level record", expected="feature lists", found="none")
        decoded = {name: decode_frame_list(name, span) for name, span in lists.items()}
        labels = _int_feature(context, "labels")
        return FrameRecord(_video_id(context), labels, decoded, _segments(context))
    except InputError as error:
        raise _located(error, where) from None


def encode_video(record: VideoRecord) -> bytes:
    """Encode a video-level record as the released ones are: an empty field 2 at the end.

    Raises
    ------
    ValueError
        If a feature is not (D,) with D > 0, or not finite.
    """
    entries = _id_and_labels(record.video_id, record.labels)
    for name, values in record.features.items():
        if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
            raise ValueError(f"feature {name!r} must be (D,) and finite, got shape {values.shape}")
        entries.append(encode_entry(name, floats_feature(values)))
    return encode_bytes(1, b"".join(entries)) + encode_bytes(2, b"")


def encode_frames(record: FrameRecord) -> bytes:
    """Encode a frame-level record.

    Raises
    ------
    ValueError
        If a feature list is not (F, D) uint8 with D > 0.
    """
    entries = _id_and_labels(record.video_id, record.labels)
    if record.segments is not None:
        start, end, labels, scores = record.segments
        for name, values in zip(_SEGMENT_INTS, (start, end, labels), strict=True):
            entries.append(encode_entry(name, ints_feature(values)))
        entries.append(encode_entry(_SEGMENT_SCORES, floats_feature(scores)))
    lists = [
        encode_entry(name, encode_frame_list(name, frames))
        for name, frames in record.features.items()
    ]
    return encode_bytes(1, b"".join(entries)) + encode_bytes(2, b"".join(lists))


def _located(error: InputError, where: str) -> InputError:
    """``error`` about the content of a record, with the place of the record."""
    malformed = "malformed record: " if isinstance(error, WireError) else ""
    return InputError(f"{where}: {malformed}{error}")


def _split(data: bytes) -> tuple[list[Span], list[Span]]:
    """Spans of the context features (field 1) and of the feature lists (field 2)."""
    parts: dict[int, list[Span]] = {1: [], 2: []}
    for number, wire_type, start, end in fields(Span(data, 0, len(data))):
        if number in parts:
            if wire_type != LENGTH:
                raise WireError(f"field {number} is no message", where=f"byte {start}")
            parts[number].append(Span(data, start, end))
    return parts[1], parts[2]


def _read(data: bytes) -> tuple[Context, dict[str, Span]]:
    """Context features and feature lists of a record, by name."""
    context, lists = _split(data)
    return {name: read_feature(span) for name, span in read_map(context)}, dict(read_map(lists))


def _video_id(context: Context) -> str:
    """Id of the record; of the two names the newer counts."""
    name = next((name for name in _IDS if name in context), None)
    if name is None:
        raise InputError("no video id", expected="a feature id or video_id", found=sorted(context))
    values = [span.content() for span in messages(check_kind(name, context[name], BYTES), 1)]
    if len(values) != 1 or not values[0]:
        raise InputError(f"feature {name!r} is no video id", expected="one string", found=values)
    return utf8(values[0], f"feature {name!r}")


def _int_feature(context: Context, name: str) -> Ints:
    """Integers of the feature ``name``; none where it is absent."""
    return ints(check_kind(name, context.get(name, Feature()), INTS))


def _finite(name: str, values: Floats) -> Floats:
    """Check the values of a video-level feature."""
    if not len(values):
        raise InputError(f"feature {name!r} has no values")
    finite = np.isfinite(values)
    if not finite.all():
        at = int(np.argmin(finite))
        raise InputError(
            f"value {at} of feature {name!r} is not finite",
            expected="finite numbers",
            found=values[at],
        )
    return values


def _segments(context: Context) -> Segments | None:
    """Segments of the context; None if it has none of their features."""
    names = (*_SEGMENT_INTS, _SEGMENT_SCORES)
    if not any(name in context for name in names):
        return None
    start, end, labels = (_int_feature(context, name) for name in _SEGMENT_INTS)
    scores = floats(check_kind(_SEGMENT_SCORES, context.get(_SEGMENT_SCORES, Feature()), FLOATS))
    sizes = zip(names, (start.size, end.size, labels.size, scores.size), strict=True)
    lengths = {name: size for name, size in sizes if name in context}
    if len(set(lengths.values())) > 1:
        raise InputError("segment features differ in length", found=lengths)
    if not np.isfinite(scores).all():
        raise InputError(f"feature {_SEGMENT_SCORES!r} is not finite")
    return Segments(start, end, labels, scores)


def _id_and_labels(video_id: str, labels: Ints) -> list[bytes]:
    return [
        encode_entry("id", bytes_feature(video_id.encode())),
        encode_entry("labels", ints_feature(labels)),
    ]
