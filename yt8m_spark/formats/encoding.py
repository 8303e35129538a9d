"""Arrays to YouTube-8M records, as the release has them."""

from __future__ import annotations

import numpy as np

from yt8m_spark.formats.features import (
    bytes_feature,
    encode_entry,
    floats_feature,
    ints_feature,
)
from yt8m_spark.formats.frames import encode_frame_list
from yt8m_spark.formats.record_types import (
    KEYS,
    SEGMENT_KEYS,
    FrameRecord,
    Keys,
    Segments,
    VideoRecord,
)
from yt8m_spark.formats.wire import encode_bytes

__all__ = ["encode_frames", "encode_video"]


def encode_video(record: VideoRecord, *, keys: Keys = KEYS) -> bytes:
    """Encode a video-level record as the released ones are: an empty field 2 at the end.

    The id has the first of the names of ``keys``.

    Raises
    ------
    ValueError
        If a feature is not (D,) with D > 0, or not finite.
    """
    entries = _id_and_labels(record, keys)
    for name, values in record.features.items():
        if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
            raise ValueError(f"feature {name!r} must be (D,) and finite, got shape {values.shape}")
        entries.append(encode_entry(name, floats_feature(values)))
    return encode_bytes(1, b"".join(entries)) + encode_bytes(2, b"")


def encode_frames(record: FrameRecord, *, keys: Keys = KEYS) -> bytes:
    """Encode a frame-level record.

    The id has the first of the names of ``keys``. Of segments without scores or labels (Test)
    those features are left out: beside the others, an empty one would be of the wrong length.

    Raises
    ------
    ValueError
        If a feature list is not (F, D) uint8 with D > 0.
    """
    entries = _id_and_labels(record, keys)
    if record.segments is not None:
        entries += _segment_entries(record.segments)
    lists = [
        encode_entry(name, encode_frame_list(name, frames))
        for name, frames in record.features.items()
    ]
    return encode_bytes(1, b"".join(entries)) + encode_bytes(2, b"".join(lists))


def _id_and_labels(record: VideoRecord | FrameRecord, keys: Keys) -> list[bytes]:
    return [
        encode_entry(keys.ids[0], bytes_feature(record.video_id.encode())),
        encode_entry(keys.labels, ints_feature(record.labels)),
    ]


def _segment_entries(segments: Segments) -> list[bytes]:
    """Segment features that have values; all four where none has."""
    start, end, labels, scores = segments
    encoded = [*(ints_feature(values) for values in (start, end, labels)), floats_feature(scores)]
    sizes = [len(values) for values in segments]
    return [
        encode_entry(name, feature)
        for name, feature, size in zip(SEGMENT_KEYS, encoded, sizes, strict=True)
        if size or not any(sizes)
    ]
