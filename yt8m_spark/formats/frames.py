"""Feature lists of frame-level records: one Feature a frame with one bytes value, as arrays.

All frames of a list have one width, so all their messages have one length and one header. The
header is parsed once and compared with all others as the columns of an array; a Python loop over
frames would be ten times slower.

Axes: F frames, D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
from yt8m_spark.formats.features import BYTES, bytes_feature, check_kind, read_feature
from yt8m_spark.formats.wire import LENGTH, Span, encode_bytes, messages, sole_field

__all__ = [
    "count_frames",
    "decode_frame_list",
    "encode_frame_list",
    "equal_rows",
    "holds_bytes",
]

Codes = NDArray[np.uint8]

_VALUE = 1 << 3 | LENGTH  # tag of a value of a BytesList


def decode_frame_list(name: str, span: Span) -> Codes:
    """Frames of a FeatureList message, (F, D) uint8; (0, 0) where it has none.

    The array may be a read-only view of the bytes of ``span``.

    Raises
    ------
    InputError
        If it is malformed, a frame holds anything but one bytes value of at least one byte, or
        frames differ in width.
    """
    first = next(messages(span, 1), None)
    if first is None:
        return np.empty((0, 0), np.uint8)
    frames = _equal_frames(span, first, _frame(name, first, 0))
    return _unequal_frames(name, span) if frames is None else frames


def holds_bytes(span: Span) -> bool:
    """Whether a FeatureList message is one of frames: its first Feature holds bytes or nothing.

    A list without frames may be one. Lists of floats or integers (timestamps, say) are none.

    Raises
    ------
    WireError
        If it is malformed.
    """
    first = next(messages(span, 1), None)
    return first is None or read_feature(first).kind in (0, BYTES)


def count_frames(span: Span) -> int:
    """Frames of a FeatureList message, whatever they hold, without decoding them.

    Raises
    ------
    WireError
        If it is malformed.
    """
    first = next(messages(span, 1), None)
    if first is None:
        return 0
    header = first.start - span.start
    rows = equal_rows(span, first, header)
    return sum(1 for _ in messages(span, 1)) if rows is None else len(rows)


def encode_frame_list(name: str, frames: Codes) -> bytes:
    """FeatureList message of ``frames`` (F, D) uint8.

    Raises
    ------
    ValueError
        If ``frames`` is of another type or shape, or D is 0 (unless F is too).
    """
    if frames.dtype != np.uint8 or frames.ndim != 2 or (len(frames) and not frames.shape[1]):
        raise ValueError(f"{name!r} must be (F, D) uint8, got {frames.dtype} {frames.shape}")
    if not len(frames):
        return b""
    n_frames, width = frames.shape
    message = encode_bytes(1, bytes_feature(frames[0].tobytes()))
    encoded = np.empty((n_frames, len(message)), np.uint8)
    encoded[:, :-width] = np.frombuffer(message, np.uint8)[:-width]
    encoded[:, -width:] = frames
    return encoded.tobytes()


def _equal_frames(span: Span, first: Span, value: Span) -> Codes | None:
    """Frames that are all laid out as ``first``, its ``value`` last; None if they are not."""
    if value.data is not span.data or value.end != first.end:
        return None
    header = value.start - span.start
    rows = equal_rows(span, first, header)
    return None if rows is None else rows[:, header:]


def equal_rows(span: Span, first: Span, header: int) -> Codes | None:
    """Messages of a list, one a row, if all are as long as ``first`` and share its header.

    ``header`` is the number of bytes of a row that must be the same, tag and length included.
    """
    stride = first.end - span.start
    size = span.end - span.start
    if size % stride:
        return None
    rows = np.frombuffer(span.data, np.uint8, size, span.start).reshape(-1, stride)
    return rows if (rows[:, :header] == rows[0, :header]).all() else None


def _unequal_frames(name: str, span: Span) -> Codes:
    """Frames of a list laid out in any other way; equal in width they must still be."""
    frames = [_frame(name, one, i).content() for i, one in enumerate(messages(span, 1))]
    width = len(frames[0])
    for number, frame in enumerate(frames):
        if len(frame) != width:
            raise InputError(
                f"frames of {name!r} differ in width, frame {number}",
                expected=f"{width} bytes",
                found=len(frame),
            )
    return np.frombuffer(bytearray(b"".join(frames)), np.uint8).reshape(-1, width)


def _frame(name: str, span: Span, number: int) -> Span:
    """The one bytes value of a frame's Feature message."""
    content = check_kind(name, read_feature(span), BYTES)
    sole = sole_field(*content)
    if sole is not None and sole[0] == _VALUE and sole[1] < content.end:
        return Span(content.data, sole[1], content.end)
    values = list(messages(content, 1))
    if len(values) != 1 or values[0].start == values[0].end:
        raise InputError(
            f"frame {number} of {name!r} is no frame",
            expected="one bytes value",
            found=f"values of {[value.end - value.start for value in values]} bytes",
        )
    return values[0]
