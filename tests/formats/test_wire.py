"""Wire format of single messages, by hand. Whole records are tested in test_examples."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.formats.wire import (
    Span,
    WireError,
    encode_bytes,
    encode_varint,
    fields,
    floats,
    ints,
    join,
    messages,
    read_varint,
)


def whole(data):
    return Span(data, 0, len(data))


@pytest.mark.parametrize(
    ("value", "encoded"),
    [  # protobuf's encoding guide: 7 bits a byte, low bits first
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (150, b"\x96\x01"),
        (2**64 - 1, b"\xff" * 9 + b"\x01"),
    ],
)
def test_varints_by_hand(value, encoded):
    assert encode_varint(value) == encoded
    assert read_varint(encoded, 0, len(encoded)) == (value, len(encoded))


def test_negative_integer_is_two_s_complement_in_ten_bytes():
    encoded = encode_varint(-1)
    assert encoded == b"\xff" * 9 + b"\x01"
    assert_array_equal(
        ints(whole(encode_bytes(1, encoded + encode_varint(-(2**63))))), [-1, -(2**63)]
    )


def test_varint_without_an_end_is_refused():
    with pytest.raises(WireError, match="varint has no end"):
        read_varint(b"\x80", 0, 1)
    with pytest.raises(WireError, match="varint has no end"):
        read_varint(b"\x80" * 10 + b"\x00", 0, 11)


def test_varint_does_not_read_past_its_message():
    with pytest.raises(WireError, match="varint has no end"):
        read_varint(b"\x80\x01", 0, 1)


def test_fields_of_every_wire_type_are_found_in_order():
    data = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1a\x02ab" + b"\x25" + bytes(4)
    assert list(fields(whole(data))) == [
        (1, 0, 1, 3),
        (2, 1, 4, 12),
        (3, 2, 14, 16),
        (4, 5, 17, 21),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x00\x00", "field number"),
        (b"\x0b", "wire type"),  # start of a group
        (b"\x0c", "wire type"),
        (b"\x0e", "wire type"),
        (b"\x0f", "wire type"),
        (b"\x0a\x05abcd", "runs past the end"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "runs past the end"),
        (b"\x0d\x00\x00\x00", "runs past the end"),
        (b"\x09" + bytes(7), "runs past the end"),
        (b"\x0a", "varint has no end"),
        (b"\xff" * 9 + b"\x01", "field number"),
    ],
)
def test_malformed_message_is_refused(data, message):
    with pytest.raises(WireError, match=message):
        list(fields(whole(data)))


def test_field_may_not_run_into_what_follows_its_message():
    with pytest.raises(WireError, match=r"runs past the end of its message .*, found 4"):
        list(fields(Span(b"\x0a\x04abcd", 0, 4)))


def test_integers_packed_unpacked_and_mixed_keep_their_order():
    data = encode_bytes(1, b"\x01\x02") + b"\x08\x03" + encode_bytes(1, b"\xac\x02")
    assert_array_equal(ints(whole(data)), [1, 2, 3, 300])


def test_floats_packed_unpacked_and_mixed_keep_their_order():
    one, two, three = (np.array(v, "<f4").tobytes() for v in (1.5, -2.0, 3.25))
    data = encode_bytes(1, one + two) + b"\x0d" + three
    assert_array_equal(floats(whole(data)), np.array([1.5, -2.0, 3.25], np.float32))


def test_lists_of_nothing_are_empty():
    assert ints(whole(b"")).shape == floats(whole(b"")).shape == (0,)
    assert ints(whole(b"")).dtype == np.int64
    assert floats(whole(b"")).dtype == np.float32


def test_packed_floats_that_are_cut_short_are_refused():
    with pytest.raises(WireError, match="multiple of 4"):
        floats(whole(encode_bytes(1, bytes(6))))


@pytest.mark.parametrize("data", [b"\x0d" + bytes(4), b"\x09" + bytes(8)])
def test_fixed_numbers_are_no_integers(data):
    with pytest.raises(WireError, match="wrong wire type"):
        ints(whole(data))


def test_varint_is_no_message():
    with pytest.raises(WireError, match="wrong wire type"):
        list(messages(whole(b"\x08\x01"), 1))


def test_other_fields_are_skipped():
    data = encode_bytes(2, b"zz") + encode_bytes(1, b"a") + b"\x18\x07" + encode_bytes(1, b"b")
    assert [span.content() for span in messages(whole(data), 1)] == [b"a", b"b"]


def test_joined_messages_are_their_bytes_together():
    assert join(whole(b"ab"), Span(b"xcdx", 1, 3)).content() == b"abcd"
    assert join(None, whole(b"ab")) == whole(b"ab")
