"""A look ahead in the bytes of a shard: a record that turns out to be damaged can be read again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from yt8m_spark.formats.crc32c import crc32c, mask_crc32c
from yt8m_spark.formats.framing import FOOTER, HEADER
from yt8m_spark.formats.streams import Stream

__all__ = ["LARGE", "Check", "Head", "Window"]

LARGE = 1 << 16  # bytes from which a read goes past the window, which would only copy it
_PIECE = 1 << 18
_GLANCE = 1 << 12  # bytes of a record looked at where the rest is not checked


class Head(NamedTuple):
    """What is wanted of a large record."""

    size: Callable[[bytes, int], int]  # number of its first bytes, told from some and its length
    check: bool = True  # whether to read the others too, for the checksum


class Check(NamedTuple):
    """What a look at a record's data and what follows them found."""

    n_data: int  # bytes of data that there are
    crc: int  # masked, of these
    footer: bytes
    next_header: bytes

    @property
    def holds(self) -> bool:
        """Whether the data are as their checksum says."""
        return len(self.footer) == FOOTER.size and FOOTER.unpack(self.footer)[0] == self.crc


class Window:
    """A stream read ahead by ``ahead`` bytes: reads, looks forward, and takes bytes back."""

    def __init__(self, stream: Stream, start: int = 0) -> None:
        self.stream = stream
        self.ahead = 0
        self._buffer = b""
        self._at = 0
        self._end = start  # offset of the stream: that of the end of the buffer

    @property
    def offset(self) -> int:
        """Offset of the next byte, after unzipping."""
        return self._end - len(self._buffer) + self._at

    @property
    def left(self) -> int | None:
        """Bytes from here to the end of the file, if known."""
        return None if self.stream.size is None else self.stream.size - self.offset

    def at_hand(self) -> tuple[bytes, int, int]:
        """Bytes read ahead, the place in them of the next one, and the offset of their first."""
        return self._buffer, self._at, self._end - len(self._buffer)

    def move_to(self, place: int) -> None:
        """Read up to ``place`` in the bytes `at_hand`."""
        self._at = place

    def read(self, n_bytes: int) -> bytes:
        """``n_bytes`` bytes, fewer only at the end."""
        end = self._at + n_bytes
        if end <= len(self._buffer):
            data = self._buffer[self._at : end]
            self._at = end
            return data
        head = self._buffer[self._at :]
        missing = n_bytes - len(head)
        self._buffer = b""  # its bytes are in head: a large record need not find both in memory
        chunk = self.stream.read(missing + self.ahead)
        self._end += len(chunk)
        if len(chunk) > missing:
            self._buffer, self._at = chunk, missing
            return head + chunk[:missing]
        self._at = 0
        return head + chunk

    def take_head(self, length: int, head: Head) -> bytes | None:
        """The first bytes of a record's ``length`` bytes of data, as many as ``head`` says.

        The rest is read in pieces, for the checksum, and not kept; or passed over, if it need not
        be checked and the file is plain. None, and nothing read, if the checksum does not hold or
        more bytes are wanted than are looked at.
        """
        before = self.stream.mark(), self._buffer, self._at, self._end
        self.ahead = 0
        check = head.check or self.left is None
        first = self.read(min(length, LARGE if check else _GLANCE))
        wanted = head.size(first, length)
        if wanted <= len(first):
            rest = length - len(first)
            sound = self._is_sound(first, rest) if check else self._pass_over(rest + FOOTER.size)
            if sound:
                self.ahead = HEADER.size
                return first[:wanted]
        mark, self._buffer, self._at, self._end = before
        self.stream.reset(mark)
        return None

    def _is_sound(self, first: bytes, rest: int) -> bool:
        """Whether the checksum after ``rest`` more bytes is that of ``first`` and them."""
        crc, n_data = crc32c(first), len(first) + rest
        while rest and (piece := self.read(min(rest, LARGE))):
            crc, rest = crc32c(piece, crc), rest - len(piece)
        footer = b"" if rest else self.read(FOOTER.size)
        return Check(n_data - rest, mask_crc32c(crc), footer, b"").holds

    def _pass_over(self, n_bytes: int) -> bool:
        """Go on ``n_bytes`` bytes further in a plain file; False if it ends before."""
        target = self.offset + n_bytes
        if self.left is None or n_bytes > self.left:
            return False
        self._buffer, self._at, self._end = b"", 0, target
        self.stream.reset(target)
        return True

    def unread(self, data: bytes) -> None:
        """Put back what was read last."""
        self._buffer, self._at = data + self._buffer[self._at :], 0

    def peek(self, n_bytes: int) -> bytes:
        """The next ``n_bytes`` bytes, fewer only at the end, without reading them."""
        missing = n_bytes - (len(self._buffer) - self._at)
        if missing > 0:
            chunk = self.stream.read(missing)
            self._end += len(chunk)
            self._buffer, self._at = self._buffer[self._at :] + chunk, 0
        return self._buffer[self._at : self._at + n_bytes]

    def skip(self, n_bytes: int) -> None:
        """Read past ``n_bytes`` bytes, or to the end."""
        while n_bytes > 0 and (passed := len(self.read(min(n_bytes, _PIECE)))):
            n_bytes -= passed

    def check(self, distance: int, length: int) -> Check:
        """Look at a record whose ``length`` bytes of data start ``distance`` bytes from here.

        The bytes before ``distance`` must have been peeked at. In pieces: a length that is wrong
        takes no memory.
        """
        mark = self.stream.mark()
        rest = self._buffer[self._at + distance :]
        data, rest = rest[:length], rest[length:]
        crc, n_data = crc32c(data), len(data)
        while n_data < length and (piece := self.stream.read(min(length - n_data, _PIECE))):
            crc, n_data = crc32c(piece, crc), n_data + len(piece)
        if len(rest) < FOOTER.size + HEADER.size:
            rest += self.stream.read(FOOTER.size + HEADER.size - len(rest))
        self.stream.reset(mark)
        footer, header = rest[: FOOTER.size], rest[FOOTER.size : FOOTER.size + HEADER.size]
        return Check(n_data, mask_crc32c(crc), footer, header)
