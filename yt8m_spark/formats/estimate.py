"""About how many records there are, without reading them: for progress bars."""

from __future__ import annotations

import os
from collections.abc import Sequence

from yt8m_spark.formats.framing import FRAMING, HEADER, record_length

__all__ = ["estimate_records"]

_SAMPLE = 4  # files looked into
_HEADERS_A_FILE = 5000  # and lengths read of each, at most


def estimate_records(paths: Sequence[str]) -> int | None:
    """Records of the TFRecord files ``paths`` of a mounted file system: those of a few, by size.

    None where it cannot be told: files that are gzip'ed, empty, remote or damaged (which reading
    them tells of, not this).
    """
    step = max(1, len(paths) // _SAMPLE)
    try:
        counts = [_count(path) for path in paths[::step][:_SAMPLE]]
        size = sum(os.path.getsize(path) for path in paths)
    except OSError:
        return None
    n_records, n_bytes = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    return round(size * n_records / n_bytes) if n_records else None


def _count(path: str) -> tuple[int, int]:
    """Records at the start of a plain file and their bytes; no record where lengths go wrong."""
    size, position, count = os.path.getsize(path), 0, 0
    with open(path, "rb") as file:
        while position < size and count < _HEADERS_A_FILE:
            file.seek(position)
            length = record_length(file.read(HEADER.size))
            if length is None or position + length + FRAMING > size:
                return 0, size
            position += length + FRAMING
            count += 1
    return count, position
