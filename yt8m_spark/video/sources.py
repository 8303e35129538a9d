"""Bytes of a video as FFmpeg reads them, so that failing storage and a bad file are told apart.

FFmpeg never opens a file itself: it calls much damage an input/output error, while what Python's
own reading raises comes through PyAV unchanged.
"""

from __future__ import annotations

import errno
from typing import IO

__all__ = ["VideoSource"]


class VideoSource:
    """A file that answers like one of FFmpeg's own.

    A damaged video may send its reader anywhere. To go to a place before the file is an error that
    FFmpeg gets as a number, and behind the file there is nothing; storage is asked for neither.

    Parameters
    ----------
    file : file open for reading bytes
        It must be able to seek; it is not closed.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self._place = 0
        # FFmpeg looks at how it ends.
        self.name = str(getattr(file, "name", ""))

    def read(self, n_bytes: int) -> bytes:
        """The next bytes, none at the end."""
        if self._place >= self._size:
            return b""
        self._file.seek(self._place)
        data = self._file.read(n_bytes)
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place and give it, or a negative number for one before the file."""
        place = offset + (0, self._place, self._size)[whence]
        if place < 0:
            return -errno.EINVAL
        self._place = place
        return place

    def tell(self) -> int:
        """The place."""
        return self._place
