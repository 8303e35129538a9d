"""The bytes of a shard in their order, plain or unzipped, with a way back.

A stream gives bytes and can return to a mark, and holds no more than was asked for.
"""

from __future__ import annotations

import os
import zlib
from typing import IO, Any, NamedTuple, Protocol

from yt8m_spark.formats.framing import HEADER, is_gzip

__all__ = ["PlainStream", "Stream", "UnzippedStream", "open_stream"]

_ZIPPED_PIECE = 1 << 16
_ANY_GZIP = 31  # zlib's window bits for gzip's framing


class Stream(Protocol):
    """Bytes in their order."""

    size: int | None  # bytes in all; None where only reading tells

    def read(self, n_bytes: int) -> bytes:
        """``n_bytes`` bytes, fewer only at the end."""

    def mark(self) -> Any:
        """The place reached, for `reset`."""

    def reset(self, mark: Any) -> None:
        """Go back to a mark."""

    def take_error(self) -> str:
        """Why it has ended before its true end, told once; empty if it has not."""


def open_stream(file: IO[bytes], start: int = 0) -> Stream:
    """Stream of an open file from byte ``start`` on, unzipped where it is gzip'ed.

    Raises
    ------
    ValueError
        If the file is gzip'ed and ``start`` is not 0: there is no way into the middle of it.
    """
    file.seek(0)
    if not is_gzip(_read_all(file, HEADER.size)):
        return PlainStream(file, start)
    if start:
        raise ValueError(f"a gzip'ed file can only be read from its start, not from byte {start}")
    return UnzippedStream(file)


class PlainStream:
    """A file as it is, as long as it was when it was opened."""

    def __init__(self, file: IO[bytes], start: int) -> None:
        file.seek(0, os.SEEK_END)
        self.size: int | None = file.tell()
        self._file = file
        self._left = self.size
        self.reset(start)

    def read(self, n_bytes: int) -> bytes:
        """``n_bytes`` bytes, fewer only at the end."""
        data = _read_all(self._file, min(n_bytes, self._left))
        self._left -= len(data)
        return data

    def mark(self) -> int:
        """Offset of the next byte."""
        return (self.size or 0) - self._left

    def reset(self, mark: int) -> None:
        """Go to byte ``mark``."""
        self._file.seek(mark)
        self._left = max((self.size or 0) - mark, 0)

    def take_error(self) -> str:
        """Nothing: a plain file has no other end than its own."""
        return ""


class _UnzipState(NamedTuple):
    inflater: Any  # zlib's, a copy
    zipped: bytes  # compressed bytes in hand
    at: int  # of them already used
    file_position: int
    step: int
    error: str
    ended: bool


class UnzippedStream:
    """What a gzip'ed file unzips to, one or more members of it, up to the first damage."""

    size: int | None = None

    def __init__(self, file: IO[bytes]) -> None:
        file.seek(0, os.SEEK_END)
        self._n_zipped = file.tell()
        file.seek(0)
        self._file = file
        self._inflater = zlib.decompressobj(_ANY_GZIP)
        self._zipped = b""
        self._at = 0
        self._step = _ZIPPED_PIECE
        self._reason = "it ends before its end-of-stream marker"
        self._error = ""
        self._ended = False

    def read(self, n_bytes: int) -> bytes:
        """``n_bytes`` bytes, fewer only at the end or at damage, which `take_error` then tells."""
        parts = []
        while n_bytes > 0 and self._has_input():
            part = self._inflate(n_bytes)
            n_bytes -= len(part)
            parts.append(part)
        return b"".join(parts)

    def mark(self) -> _UnzipState:
        """State of unzipping."""
        state = self._inflater.copy(), self._zipped, self._at
        return _UnzipState(*state, self._file.tell(), self._step, self._error, self._ended)

    def reset(self, mark: _UnzipState) -> None:
        """Go back to a mark."""
        self._file.seek(mark.file_position)
        self._inflater, self._zipped, self._at = mark.inflater.copy(), mark.zipped, mark.at
        self._step, self._error, self._ended = mark.step, mark.error, mark.ended

    def take_error(self) -> str:
        """Why it has ended before its true end, told once; empty if it has not."""
        error, self._error = self._error, ""
        return error

    def _has_input(self) -> bool:
        """Whether there is more to unzip; takes the step from one member to the next."""
        while not self._ended:
            if self._at == len(self._zipped):
                self._zipped, self._at = _read_all(self._file, _ZIPPED_PIECE), 0
            if not self._inflater.eof:
                return True
            rest = self._zipped[self._at :].lstrip(b"\0")  # zeros may pad the end of a member
            self._at = len(self._zipped) - len(rest)
            if rest:
                self._inflater = zlib.decompressobj(_ANY_GZIP)
            elif not self._zipped:
                return False
        return False

    def _inflate(self, n_bytes: int) -> bytes:
        """At most ``n_bytes`` more bytes; none if a smaller step must be taken, or on damage."""
        piece = self._zipped[self._at : self._at + self._step]
        before = self._inflater.copy()
        try:
            data = self._inflater.decompress(piece, n_bytes)
        except zlib.error as error:
            # zlib drops what a failing call has unzipped: come nearer to the damage, byte by byte,
            # and at last take what the bytes before it have left in hand.
            self._inflater, data, self._reason = before, b"", str(error)
            if self._step:
                self._step //= 2
                return b""
        if not piece and not data:
            self._fail()
            return b""
        ended = self._inflater.eof  # the other of the two may then hold the same bytes again
        unused = self._inflater.unused_data if ended else self._inflater.unconsumed_tail
        self._at += len(piece) - len(unused)
        return data

    def _fail(self) -> None:
        at = self._file.tell() - len(self._zipped) + self._at
        self._error = (
            f"damaged gzip data ({self._reason}, at byte {at} of {self._n_zipped} zipped ones)"
        )
        self._ended = True


def _read_all(file: IO[bytes], n_bytes: int) -> bytes:
    """``n_bytes`` bytes: one read of a raw or remote file may give fewer."""
    data = file.read(n_bytes)
    while len(data) < n_bytes and (more := file.read(n_bytes - len(data))):
        data += more
    return data
