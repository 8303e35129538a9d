"""Protocol-buffer wire format: what tf.train.Example needs of it, every byte checked.

A message is a sequence of fields, each a tag (field number and wire type) and a value. A message
inside a message is a `Span` of the same bytes, so nothing is copied on the way down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError

__all__ = [
    "LENGTH",
    "Span",
    "WireError",
    "encode_bytes",
    "encode_varint",
    "fields",
    "floats",
    "ints",
    "join",
    "located",
    "messages",
    "read_varint",
    "sole_field",
]

# Wire types. 3 and 4 are groups, which proto3 does not write; 6 and 7 do not exist.
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

_LAST_FIELD = 2**29 - 1
_MASK64 = 2**64 - 1
_LONGEST_VARINT = 10  # bytes of a 64-bit value
_PACKED = 1 << 3 | LENGTH  # tag of the values of a list


class WireError(InputError):
    """Bytes that are no protocol-buffer message of the expected type."""


def located(error: InputError, where: str) -> InputError:
    """``error`` about the content of a record, with the place of the record."""
    malformed = "malformed record: " if isinstance(error, WireError) else ""
    return InputError(f"{where}: {malformed}{error}")


class Span(NamedTuple):
    """Bytes ``start`` to ``end`` (exclusive) of ``data``."""

    data: bytes
    start: int
    end: int

    def content(self) -> bytes:
        """Copy of the bytes."""
        return self.data[self.start : self.end]


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Read one varint.

    Parameters
    ----------
    data : bytes
    position, end : int
        Where the varint starts, and where its message ends.

    Returns
    -------
    (int, int)
        The value, 0 .. 2**64 - 1, and the position after it.

    Raises
    ------
    WireError
        If the message ends inside it, or it has more than 10 bytes.
    """
    if position < end and data[position] < 0x80:  # most are one byte
        return data[position], position + 1
    value = shift = 0
    for place in range(position, min(end, position + _LONGEST_VARINT)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK64, place + 1
        shift += 7
    raise WireError("varint has no end", where=f"byte {position}")


def fields(span: Span) -> Iterator[tuple[int, int, int, int]]:
    """Fields of a message in the order of its bytes.

    Yields
    ------
    (int, int, int, int)
        Field number, wire type, start and end of the value (for wire type 2 without its length).

    Raises
    ------
    WireError
        If a tag is none, a wire type is unknown or a value runs past the end of the message.
    """
    data, position, end = span
    while position < end:
        at = position
        tag = data[position]
        position += 1
        if tag >= 0x80:
            tag, position = read_varint(data, at, end)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number <= _LAST_FIELD:
            raise WireError("impossible field number", where=f"byte {at}", found=number)
        if wire_type == LENGTH:
            length, position = read_varint(data, position, end)
            stop = position + length
        elif wire_type == VARINT:
            stop = read_varint(data, position, end)[1]
        elif wire_type == FIXED32:
            stop = position + 4
        elif wire_type == FIXED64:
            stop = position + 8
        else:
            raise WireError("unknown wire type", where=f"byte {at}", found=wire_type)
        if stop > end:
            raise WireError(
                f"field {number} runs past the end of its message",
                where=f"byte {at}",
                expected=f"at most {end - position} bytes",
                found=stop - position,
            )
        yield number, wire_type, position, stop
        position = stop


def sole_field(data: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Tag and start of the value of the one length-delimited field that a message consists of.

    Most messages of a record are of this kind, and looking costs a third of `fields`. None for
    any other message.

    Raises
    ------
    WireError
        If the length has no end.
    """
    if end - start < 2 or data[start] & 0x87 != LENGTH:  # a tag of one byte
        return None
    length, value = data[start + 1], start + 2
    if length >= 0x80:
        length, value = read_varint(data, start + 1, end)
    return (data[start], value) if value + length == end else None


def messages(span: Span, number: int) -> Iterator[Span]:
    """Values of the length-delimited field ``number``; all other fields are skipped.

    Raises
    ------
    WireError
        If the field has another wire type, or the message is malformed.
    """
    for found, wire_type, start, end in fields(span):
        if found == number:
            _check_type(wire_type, (LENGTH,), number, start)
            yield Span(span.data, start, end)


def join(first: Span | None, second: Span) -> Span:
    """Two occurrences of one message field, merged: the message of their bytes together."""
    if first is None:
        return second
    data = first.content() + second.content()
    return Span(data, 0, len(data))


def ints(span: Span) -> NDArray[np.int64]:
    """Values of an Int64List (field 1, packed or not), (n,) int64.

    Raises
    ------
    WireError
        If the list is malformed.
    """
    values: list[int] = []
    sole = sole_field(*span)
    if sole is not None and sole[0] == _PACKED:
        data, start, end = span.data, sole[1], span.end
        while start < end:
            value, start = read_varint(data, start, end)
            values.append(value)
        return np.array(values, dtype=np.uint64).view(np.int64)
    for number, wire_type, start, end in fields(span):
        if number == 1:
            _check_type(wire_type, (LENGTH, VARINT), number, start)
            while start < end:
                value, start = read_varint(span.data, start, end)
                values.append(value)
    # Negative numbers are their two's complement in 64 bits.
    return np.array(values, dtype=np.uint64).view(np.int64)


def floats(span: Span) -> NDArray[np.float32]:
    """Values of a FloatList (field 1, packed or not), (n,) float32; may be read-only.

    Raises
    ------
    WireError
        If the list is malformed.
    """
    chunks: list[bytes] = []
    for number, wire_type, start, end in fields(span):
        if number == 1:
            _check_type(wire_type, (LENGTH, FIXED32), number, start)
            if (end - start) % 4:
                raise WireError(
                    "packed floats are cut short",
                    where=f"byte {start}",
                    expected="a multiple of 4 bytes",
                    found=end - start,
                )
            chunks.append(span.data[start:end])
    values = np.frombuffer(chunks[0] if len(chunks) == 1 else b"".join(chunks), dtype="<f4")
    return values.astype(np.float32, copy=False)


def encode_varint(value: int) -> bytes:
    """Varint of ``value``, -2**63 .. 2**64 - 1; a negative one takes 10 bytes."""
    value &= _MASK64
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_bytes(number: int, value: bytes) -> bytes:
    """Length-delimited field ``number`` (bytes, string, message, packed numbers)."""
    return encode_varint(number << 3 | LENGTH) + encode_varint(len(value)) + value


def _check_type(found: int, allowed: tuple[int, ...], number: int, position: int) -> None:
    if found not in allowed:
        raise WireError(
            f"field {number} has the wrong wire type",
            where=f"byte {position}",
            expected=" or ".join(map(str, allowed)),
            found=found,
        )
