"""tf.train.Feature and the maps that hold features: one step above the wire format.

Where a message holds a field or a key twice, protocol buffers' own rules decide: messages merge,
the last key wins, the last kind of a Feature wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
from yt8m_spark.formats.wire import (
    LENGTH,
    Span,
    WireError,
    encode_bytes,
    encode_varint,
    fields,
    join,
    messages,
    sole_field,
)

__all__ = [
    "BYTES",
    "FLOATS",
    "INTS",
    "Feature",
    "bytes_feature",
    "check_kind",
    "encode_entry",
    "floats_feature",
    "ints_feature",
    "read_feature",
    "read_map",
    "utf8",
]

# Kinds of a Feature: the number of the field that holds its list.
BYTES, FLOATS, INTS = 1, 2, 3
_NAME = "name of a feature"
_KINDS = {0: "nothing", BYTES: "bytes", FLOATS: "floats", INTS: "integers"}
_TAGS = frozenset(kind << 3 | LENGTH for kind in (BYTES, FLOATS, INTS))
_KEY, _VALUE = 1 << 3 | LENGTH, 2 << 3 | LENGTH  # tags of an entry of a map
_EMPTY = Span(b"", 0, 0)


class Feature(NamedTuple):
    """A tf.train.Feature: its kind (0 if it holds nothing) and the list message in it."""

    kind: int = 0
    content: Span = _EMPTY


def read_feature(span: Span) -> Feature:
    """Kind and list of a Feature message.

    Raises
    ------
    WireError
        If it is malformed.
    """
    sole = sole_field(*span)
    if sole is not None and sole[0] in _TAGS:
        return Feature(sole[0] >> 3, Span(span.data, sole[1], span.end))
    kind, content = 0, _EMPTY
    for number, wire_type, start, end in fields(span):
        if number in (BYTES, FLOATS, INTS):
            if wire_type != LENGTH:
                raise WireError("malformed feature", where=f"byte {start}", found=wire_type)
            content = join(content if number == kind else None, Span(span.data, start, end))
            kind = number
    return Feature(kind, content)


def check_kind(name: str, feature: Feature, kind: int) -> Span:
    """List of a feature that must be of ``kind`` or hold nothing.

    Raises
    ------
    InputError
        If it is of another kind; it names the feature.
    """
    if feature.kind not in (kind, 0):
        raise InputError(
            f"feature {name!r} has the wrong kind",
            expected=_KINDS[kind],
            found=_KINDS[feature.kind],
        )
    return feature.content


def read_map(maps: Iterable[Span]) -> Iterator[tuple[str, Span]]:
    """Keys and values of a map<string, message> that is field 1 of ``maps``.

    Raises
    ------
    WireError
        If it is malformed or a key is not UTF-8.
    """
    for span in maps:
        for entry in messages(span, 1):
            yield _plain_entry(entry) or _entry(entry)


def _plain_entry(entry: Span) -> tuple[str, Span] | None:
    """Key and value of an entry that consists of a short key and a value, as writers write it."""
    data, start, end = entry
    if end - start < 4 or data[start] != _KEY or data[start + 1] >= 0x80:
        return None
    key_end = start + 2 + data[start + 1]
    if key_end >= end or data[key_end] != _VALUE:
        return None
    sole = sole_field(data, key_end, end)
    if sole is None:
        return None
    return utf8(data[start + 2 : key_end], _NAME), Span(data, sole[1], end)


def _entry(entry: Span) -> tuple[str, Span]:
    """Key and value of any entry."""
    key, value = "", None
    for number, wire_type, start, end in fields(entry):
        if number in (1, 2) and wire_type != LENGTH:
            raise WireError("malformed map", where=f"byte {start}", found=wire_type)
        if number == 1:
            key = utf8(entry.data[start:end], _NAME)
        elif number == 2:
            value = join(value, Span(entry.data, start, end))
    return key, value or _EMPTY


def utf8(value: bytes, what: str) -> str:
    """Text of ``value``.

    Raises
    ------
    WireError
        If it is not UTF-8.
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise WireError(f"{what} is not UTF-8", found=value[:40]) from None


def encode_entry(name: str, value: bytes) -> bytes:
    """One entry of a map<string, message>, as field 1."""
    return encode_bytes(1, encode_bytes(1, name.encode()) + encode_bytes(2, value))


def bytes_feature(value: bytes) -> bytes:
    """Feature of one bytes value."""
    return encode_bytes(BYTES, encode_bytes(1, value))


def floats_feature(values: NDArray[np.floating]) -> bytes:
    """Feature of ``values`` (n,), packed, as float32."""
    packed = values.astype("<f4", copy=False).tobytes()
    return encode_bytes(FLOATS, encode_bytes(1, packed) if packed else b"")


def ints_feature(values: NDArray[np.integer]) -> bytes:
    """Feature of ``values`` (n,), packed, as int64."""
    packed = b"".join(map(encode_varint, values.tolist()))
    return encode_bytes(INTS, encode_bytes(1, packed) if packed else b"")
