"""Finished videos of a shard, kept while others are at work, and the shard that they become.

A part is a TFRecord file to which a task appends each video once it is done. Every attempt at a
shard writes a part of its own, so that a task that runs twice spoils nothing; a part that was cut
short by a crash counts up to its last whole record. The shard has all videos in order of their ids.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from yt8m_spark.formats.examples import context_size, decode_context, decode_frames, encode_frames
from yt8m_spark.formats.framing import HEADER, frame
from yt8m_spark.formats.record_types import FrameRecord
from yt8m_spark.formats.tfrecord import Damage, scan_records, write_records
from yt8m_spark.video.extraction import VideoFile

__all__ = ["Part", "Place", "append_video", "finished_videos", "new_part", "write_shard"]


class Place(NamedTuple):
    """Where the record of a finished video is."""

    path: Path
    offset: int  # of its data
    n_bytes: int


class Part(NamedTuple):
    """A part that is being written."""

    path: Path
    file: IO[bytes]


def finished_videos(folder: Path) -> dict[str, Place]:
    """Records of all parts in ``folder``, by id."""
    places: dict[str, Place] = {}
    for path in sorted(folder.glob("*.tfrecord")):
        with path.open("rb") as file:
            for record in scan_records(file, str(path)):
                if isinstance(record, Damage):
                    break
                size = context_size(record.data, len(record.data))
                video_id = decode_context(record.data[:size], where=str(path)).video_id
                places[video_id] = Place(path, record.offset + HEADER.size, len(record.data))
    return places


@contextmanager
def new_part(folder: Path) -> Iterator[Part]:
    """Open a part of an attempt at a shard; one to which nothing is appended is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}.tfrecord"
    with path.open("xb") as file:
        yield Part(path, file)
        empty = not file.tell()
    if empty:
        path.unlink()


def append_video(part: Part, video: VideoFile, name: str, values: np.ndarray) -> Place:
    """Append a video: the bytes of each row of ``values`` are a frame of feature list ``name``."""
    codes = np.ascontiguousarray(values).view(np.uint8)
    labels = np.asarray(sorted(set(video.labels)), np.int64)
    data = encode_frames(FrameRecord(video.video_id, labels, {name: codes}, None))
    header, footer = frame(data)
    offset = part.file.tell() + len(header)
    part.file.write(header + data + footer)
    part.file.flush()  # what is done stays done if the process dies
    return Place(part.path, offset, len(data))


def write_shard(path: Path, places: dict[str, Place], name: str) -> int:
    """Write the videos of ``places`` to one shard, in order of ids; how many frames they have."""
    n_frames = 0

    def records() -> Iterator[bytes]:
        nonlocal n_frames
        for video_id in sorted(places):
            data = _read(places[video_id])
            n_frames += len(decode_frames(data).features[name])
            yield data

    write_records(str(path), records())
    return n_frames


def _read(place: Place) -> bytes:
    with place.path.open("rb") as file:
        file.seek(place.offset)
        return file.read(place.n_bytes)
