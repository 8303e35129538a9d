"""Write submissions to the YouTube-8M challenges; `submissions` reads them, tells the format."""

from __future__ import annotations

import gzip
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

from yt8m_spark.errors import InputError
from yt8m_spark.formats.submissions import EntitySegments, VideoPredictions, check_id

__all__ = ["format_segments", "format_video", "write_submission"]


def format_video(line: VideoPredictions, digits: int = 6) -> str:
    """Line of a video submission, without its end; pairs in the order they have.

    Parameters
    ----------
    line : VideoPredictions
    digits : int
        Significant digits of confidences: 6 are those of the starter code's inference.py (``%g``),
        9 give every float32 back.

    Raises
    ------
    InputError
        If the id is empty or has a space, comma or quote, an entity is below 0, or a score is
        outside [0, 1] or NaN.
    """
    check_id(line.video_id)
    for entity, score in zip(line.entities, line.scores, strict=True):
        if entity < 0:
            where = f"video {line.video_id!r}"
            raise InputError("bad entity", where=where, expected="at least 0", found=entity)
        if not 0 <= score <= 1:
            where = f"video {line.video_id!r}, entity {entity}"
            raise InputError("score out of range", where=where, expected="0 to 1", found=score)
    pairs = zip(line.entities, line.scores, strict=True)
    return f"{line.video_id}," + " ".join(f"{e} {float(s):.{digits}g}" for e, s in pairs)


def format_segments(line: EntitySegments) -> str:
    """Line of a segment submission, without its end; segments in the order they have.

    Raises
    ------
    InputError
        If a video id is empty or has a space, comma or quote.
    """
    for video_id in line.video_ids:
        check_id(video_id)
    segments = zip(line.video_ids, line.start_times, strict=True)
    return f"{line.entity}," + " ".join(f"{video_id}:{start}" for video_id, start in segments)


def write_submission(
    path: str, header: str, pieces: Iterable[bytes], *, zipped: bool | None = None
) -> int:
    """Write a submission, whole or not at all; the same lines give the same bytes, gzip'ed too.

    Parameters
    ----------
    path : str
        Replaced if it is there.
    header : str
        `VIDEO_HEADER` or `SEGMENT_HEADER`.
    pieces : iterable of bytes
        Whole lines, each with its end, in pieces of any size; one is held at a time.
    zipped : bool, optional
        Whether to gzip; default if ``path`` ends in ``.gz``.

    Returns
    -------
    int
        Lines written, without the header.

    Raises
    ------
    InputError
        If there is no line: such a file is no submission.
    """
    n_lines = 0
    with _new_file(path, path.endswith(".gz") if zipped is None else zipped) as file:
        file.write(f"{header}\n".encode())
        for piece in pieces:
            file.write(piece)
            n_lines += piece.count(b"\n")
        if not n_lines:
            raise InputError("no predictions to submit", expected="videos", found="no rows")
    return n_lines


@contextmanager
def _new_file(path: str, zipped: bool) -> Iterator[IO[bytes]]:
    """Give a file that gets its name ``path`` at the end, if all went well."""
    folder, file_name = os.path.split(path)
    temporary = os.path.join(folder, f".{file_name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as plain:
            if zipped:  # without name and time, which would make each file another
                with gzip.GzipFile("", "wb", fileobj=plain, mtime=0) as file:
                    yield cast("IO[bytes]", file)
            else:
                yield plain
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
