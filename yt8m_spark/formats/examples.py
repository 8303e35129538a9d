"""YouTube-8M records: tf.train.Example and SequenceExample to arrays and back.

A record of either level is a message with the context features in field 1 and the feature lists
in field 2; the released video-level records carry an empty field 2.

Axes: F frames, D features, L labels, S segments.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from yt8m_spark.errors import InputError
from yt8m_spark.formats.encoding import encode_frames, encode_video
from yt8m_spark.formats.features import (
    BYTES,
    FLOATS,
    INTS,
    Feature,
    check_kind,
    read_feature,
    read_map,
    utf8,
)
from yt8m_spark.formats.frames import count_frames, decode_frame_list, holds_bytes
from yt8m_spark.formats.record_types import (
    KEYS,
    SEGMENT_KEYS,
    Floats,
    FrameRecord,
    Ints,
    Keys,
    Segments,
    VideoRecord,
)
from yt8m_spark.formats.wire import (
    LENGTH,
    Span,
    WireError,
    fields,
    floats,
    ints,
    located,
    messages,
    read_varint,
    sole_field,
)

__all__ = [
    "KEYS",
    "FrameRecord",
    "Keys",
    "Segments",
    "VideoRecord",
    "context_size",
    "decode_context",
    "decode_frames",
    "decode_video",
    "detect_level",
    "encode_frames",
    "encode_video",
]


Context = dict[str, Feature]

_CONTEXT, _LISTS = 1 << 3 | LENGTH, 2 << 3 | LENGTH  # tags of the two fields of a record


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
        raise located(error, where) from None


def decode_video(
    data: bytes,
    *,
    features: Collection[str] | None = None,
    keys: Keys = KEYS,
    where: str = "record",
) -> VideoRecord:
    """Decode a video-level record.

    Parameters
    ----------
    data : bytes
        An Example, or a SequenceExample without feature lists (as released).
    features : collection of str, optional
        Names to decode; default every feature of floats. Absent ones are the caller's to miss.
    keys : Keys
        Names of the id and the labels.
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
        return VideoRecord(_video_id(context, keys), _int_feature(context, keys.labels), decoded)
    except InputError as error:
        raise located(error, where) from None


def context_size(first: bytes, n_bytes: int) -> int:
    """How many of a record's first bytes hold its context: all where they do not tell.

    They do in every released record: the context, then the feature lists, and nothing else.

    Parameters
    ----------
    first : bytes
        The first of the ``n_bytes`` bytes of a record.
    n_bytes : int
        Length of the record.
    """
    try:
        if not first or first[0] != _CONTEXT:
            return n_bytes
        length, start = read_varint(first, 1, len(first))
        size = start + length
        if size + 1 >= len(first) or first[size] != _LISTS:
            return n_bytes
        length, start = read_varint(first, size + 1, len(first))
    except WireError:
        return n_bytes
    return size if start + length == n_bytes else n_bytes


def decode_context(data: bytes, *, keys: Keys = KEYS, where: str = "record") -> FrameRecord:
    """Decode the id, labels and segments of a frame-level record, or of its `context_size` bytes.

    Raises
    ------
    InputError
        If the record is malformed, or has no id or features of the wrong kind.
    """
    try:
        context = {name: read_feature(span) for name, span in read_map(_split(data)[0])}
        labels = _int_feature(context, keys.labels)
        return FrameRecord(_video_id(context, keys), labels, {}, _segments(context))
    except InputError as error:
        raise located(error, where) from None


def decode_frames(
    data: bytes,
    *,
    features: Collection[str] | None = None,
    keys: Keys = KEYS,
    where: str = "record",
) -> FrameRecord:
    """Decode a frame-level record.

    Lists may differ in length (audio is often a frame or two shorter than rgb); all are kept as
    they are. Context features other than the id, the labels and the segments are left out.

    Parameters
    ----------
    data : bytes
        A SequenceExample.
    features : collection of str, optional
        Names of the lists to decode, the frames of others being counted only; default every list
        of bytes. Absent ones are the caller's to miss.
    keys : Keys
        Names of the id and the labels.
    where : str
        Place of the record, for the error.

    Returns
    -------
    FrameRecord
        Its arrays may be read-only views of ``data``.

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
        decoded, n_frames = {}, 0
        for name, span in lists.items():
            if name in features if features is not None else holds_bytes(span):
                decoded[name] = decode_frame_list(name, span)
                n_frames = max(n_frames, len(decoded[name]))
            else:
                n_frames = max(n_frames, count_frames(span))
        labels = _int_feature(context, keys.labels)
        video_id = _video_id(context, keys)
        return FrameRecord(video_id, labels, decoded, _segments(context), n_frames)
    except InputError as error:
        raise located(error, where) from None


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


def _video_id(context: Context, keys: Keys) -> str:
    """Id of the record; of several names the first counts."""
    name = next((name for name in keys.ids if name in context), None)
    if name is None:
        expected = f"a feature {' or '.join(keys.ids)}"
        raise InputError("no video id", expected=expected, found=sorted(context))
    content = check_kind(name, context[name], BYTES)
    sole = sole_field(*content)
    if sole is not None and sole[0] == _CONTEXT and sole[1] < content.end:  # a value, field 1
        return utf8(content.data[sole[1] : content.end], f"feature {name!r}")
    values = [span.content() for span in messages(content, 1)]
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
    if not any(name in context for name in SEGMENT_KEYS):
        return None
    *int_names, score_name = SEGMENT_KEYS
    start, end, labels = (_int_feature(context, name) for name in int_names)
    scores = floats(check_kind(score_name, context.get(score_name, Feature()), FLOATS))
    sizes = zip(SEGMENT_KEYS, (start.size, end.size, labels.size, scores.size), strict=True)
    lengths = {name: size for name, size in sizes if name in context}
    if len(set(lengths.values())) > 1:
        raise InputError("segment features differ in length", found=lengths)
    if not np.isfinite(scores).all():
        raise InputError(f"feature {score_name!r} is not finite")
    return Segments(start, end, labels, scores)
