"""Records of MediaPipe's YouTube-8M feature extraction, to be used like released frames.

Its pipeline (mediapipe/examples/desktop/youtube8m) computes the release's features for videos of
one's own and writes one tf.SequenceExample a video in the names of MediaSequence
(mediapipe/util/sequence/media_sequence.py): feature lists ``RGB/feature/floats`` and
``AUDIO/feature/floats`` of one Feature a second with 1,024 and 128 floats, already whitened but
not quantized, beside ``RGB/feature/timestamp`` and the like.

Axes: F frames, D features.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
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
from yt8m_spark.formats.frames import equal_rows
from yt8m_spark.formats.record_types import Floats, FrameRecord
from yt8m_spark.formats.wire import LENGTH, Span, fields, floats, ints, located, messages

__all__ = ["decode_mediapipe", "is_mediapipe"]

_FRAMES = "/feature/floats"  # after the prefix: RGB, AUDIO
_LABELS = "clip/label/index"
_MEDIA_ID, _DATA_PATH, _EXAMPLE_ID = "clip/media_id", "clip/data_path", "example/id"

# google/youtube-8m, feature_extractor/extract_tfrecords_main.py, quantize(): the range of the
# release's code, and its levels a unit. In float32 as there, so that the codes are the same.
_MIN, _MAX = np.float32(-2), np.float32(2)
_LEVELS_A_UNIT = np.float32(255 / 4)


def is_mediapipe(data: bytes) -> bool:
    """Whether a record has a feature list of MediaPipe's; False also for a malformed one.

    Only the names of the lists are looked at, so that a record of any size takes microseconds.
    """
    try:
        names = [name for name, _ in read_map(messages(Span(data, 0, len(data)), 2))]
    except InputError:
        return False
    return any(name.endswith(_FRAMES) for name in names)


def decode_mediapipe(data: bytes, *, where: str = "record") -> FrameRecord:
    """Decode a record of MediaPipe's pipeline as if it were a released frame-level one.

    Parameters
    ----------
    data : bytes
        A SequenceExample in MediaSequence's names.
    where : str
        Place of the record, for the error.

    Returns
    -------
    FrameRecord
        Feature lists by the lower-case prefix of their names (rgb, audio) in the release's code,
        ``round((clip(x, -2, 2) + 2) * 255 / 4)``. Labels are those of ``clip/label/index``, none
        where it is absent. The id is ``clip/media_id``, else the name of the file
        ``clip/data_path`` without its ending, else ``example/id``. All else is left out:
        timestamps, images, label strings, segments (microseconds there, seconds here).

    Raises
    ------
    InputError
        If the record is malformed, has no list of floats or two of one name, no id, or features of
        the wrong kind; or if the frames of a list are empty or differ in width, or hold a value
        that is not finite (NaN has no code).
    """
    try:
        whole = Span(data, 0, len(data))
        context = {name: read_feature(span) for name, span in read_map(messages(whole, 1))}
        lists = _frame_lists(dict(read_map(messages(whole, 2))))
        features = {name: _quantize(name, _frames(name, span)) for name, span in lists.items()}
        labels = ints(check_kind(_LABELS, context.get(_LABELS, Feature()), INTS))
        n_frames = max(map(len, features.values()))
        return FrameRecord(_video_id(context), labels, features, None, n_frames)
    except InputError as error:
        raise located(error, where) from None


def _frame_lists(lists: dict[str, Span]) -> dict[str, Span]:
    """Lists of floats by the prefix of their names in lower case."""
    names = [name for name in lists if name.endswith(_FRAMES)]
    found = {name.removesuffix(_FRAMES).lower(): lists[name] for name in names}
    if not found:
        raise InputError(
            "not a record of MediaPipe's", expected=f"feature lists RGB{_FRAMES}, ...", found="none"
        )
    if len(found) < len(names):
        raise InputError("two feature lists of one name", found=", ".join(sorted(names)))
    return found


def _video_id(context: dict[str, Feature]) -> str:
    """Id of the video, by the first of three features that has one."""
    for name in (_MEDIA_ID, _DATA_PATH, _EXAMPLE_ID):
        values = list(messages(check_kind(name, context.get(name, Feature()), BYTES), 1))
        if len(values) > 1:
            raise InputError(f"feature {name!r} is no video id", expected="one string")
        text = utf8(values[0].content(), f"feature {name!r}") if values else ""
        video_id = PurePosixPath(text).stem if name == _DATA_PATH else text
        if video_id:
            return video_id
    expected = f"a feature {_MEDIA_ID}, {_DATA_PATH} or {_EXAMPLE_ID}"
    raise InputError("no video id", expected=expected, found=sorted(context))


def _quantize(name: str, frames: Floats) -> NDArray[np.uint8]:
    """Codes (F, D) of ``frames`` (F, D), as the release's own extractor computes them."""
    finite = np.isfinite(frames)
    if not finite.all():
        frame, feature = np.argwhere(~finite)[0]
        raise InputError(
            f"feature {feature} of {name!r}, frame {frame}, is not finite",
            expected="finite numbers",
            found=frames[frame, feature],
        )
    codes: NDArray[np.uint8] = np.rint((frames.clip(_MIN, _MAX) - _MIN) * _LEVELS_A_UNIT).astype(
        np.uint8
    )
    return codes


def _frames(name: str, span: Span) -> Floats:
    """Frames of a FeatureList message of floats, (F, D) float32; (0, 0) where it has none."""
    first = next(messages(span, 1), None)
    if first is None:
        return np.empty((0, 0), np.float32)
    frames = _equal_frames(span, first)
    return _unequal_frames(name, span) if frames is None else frames


def _equal_frames(span: Span, first: Span) -> Floats | None:
    """Frames whose messages are all laid out as ``first``; None if they are not.

    The header of the first frame is parsed and compared with all others as columns of an array
    (see `yt8m_spark.formats.frames`).
    """
    packed = _packed(first)
    if packed is None:
        return None
    header = packed.start - span.start
    rows = equal_rows(span, first, header)
    if rows is None:
        return None
    return np.ascontiguousarray(rows[:, header:]).view("<f4").astype(np.float32, copy=False)


def _packed(frame: Span) -> Span | None:
    """The packed floats of a Feature message, if it holds them last and nothing after them."""
    feature = read_feature(frame)
    if feature.kind != FLOATS or feature.content.data is not frame.data:
        return None
    lists = list(fields(feature.content))
    if len(lists) != 1 or lists[0][:2] != (1, LENGTH):
        return None
    _, _, start, end = lists[0]
    whole = end == frame.end and end > start and (end - start) % 4 == 0
    return Span(frame.data, start, end) if whole else None


def _unequal_frames(name: str, span: Span) -> Floats:
    """Frames laid out in any other way, unpacked perhaps; equal in width they must still be."""
    frames = []
    for number, one in enumerate(messages(span, 1)):
        frames.append(floats(check_kind(name, read_feature(one), FLOATS)))
        width, expected = len(frames[-1]), len(frames[0])
        if not width or width != expected:
            raise InputError(
                f"frames of {name!r} are empty or differ in width, frame {number}",
                expected=f"{expected or 'some'} floats",
                found=width,
            )
    return np.stack(frames)
