"""Bytes in order and the way back. Damage to them is tested in test_tfrecord and test_fuzz."""

import gzip
import io
import os

import numpy as np
import pytest

from yt8m_spark.formats.framing import frame
from yt8m_spark.formats.streams import UnzippedStream, open_stream
from yt8m_spark.formats.window import Window

CONTENT = np.random.default_rng(0).integers(0, 9, 300_000, np.uint8).tobytes()


def members(content):
    """Gzip'ed in three parts, one of them empty, with padding behind."""
    return b"".join(map(gzip.compress, (content[:99], b"", content[99:]))) + bytes(700)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, members])
@pytest.mark.parametrize("size", [1000, 65_536, 10**6])
def test_all_bytes_come_in_order_whatever_is_asked_for_at_once(pack, size):
    stream = open_stream(io.BytesIO(pack(CONTENT)))
    parts = []
    while part := stream.read(size):
        parts.append(part)
    assert b"".join(parts) == CONTENT
    assert all(len(part) == size for part in parts[:-1])
    assert stream.take_error() == ""


@pytest.mark.parametrize("pack", [bytes, gzip.compress, members])
def test_stream_returns_to_a_mark_from_anywhere(pack):
    rng = np.random.default_rng(1)
    stream = open_stream(io.BytesIO(pack(CONTENT)))
    for _ in range(20):
        at = int(rng.integers(len(CONTENT)))
        stream = open_stream(io.BytesIO(pack(CONTENT)))
        stream.read(at)
        mark = stream.mark()
        for size in rng.integers(1, 2 * len(CONTENT), 2):
            assert stream.read(int(size)) == CONTENT[at : at + size]
            stream.reset(mark)


def test_error_is_told_once_and_again_after_going_back():
    stream = UnzippedStream(io.BytesIO(gzip.compress(os.urandom(1000))[:500]))
    mark = stream.mark()
    for _ in range(2):
        assert 400 < len(stream.read(1000)) < 500
        assert "at byte 500 of 500 zipped ones" in stream.take_error()
        assert stream.take_error() == ""
        assert stream.read(1) == b""
        stream.reset(mark)


def test_gzip_from_the_middle_is_refused():
    with pytest.raises(ValueError, match="from its start, not from byte 9"):
        open_stream(io.BytesIO(gzip.compress(CONTENT)), 9)


def test_window_reads_peeks_skips_and_takes_back_as_a_file_does():
    rng = np.random.default_rng(2)
    window, at = Window(open_stream(io.BytesIO(CONTENT))), 0
    for _ in range(500):
        size = int(rng.integers(1, 2000))
        window.ahead = int(rng.choice([0, 12, 5000]))
        assert window.peek(size) == CONTENT[at : at + size]
        assert (window.offset, window.left) == (at, len(CONTENT) - at)
        data = window.read(size)
        assert data == CONTENT[at : at + size]
        if rng.integers(2):
            window.unread(data)
        else:
            at += len(data)
        window.skip(size)
        at = min(at + size, len(CONTENT))


@pytest.mark.parametrize("ahead", [0, 5000])
@pytest.mark.parametrize("length", [0, 1, 100_000])
def test_check_looks_at_a_record_and_what_follows_without_reading_on(length, ahead):
    data = CONTENT[:length]
    header, footer = frame(data)
    following = frame(b"next")[0]
    window = Window(open_stream(io.BytesIO(b"x" + header + data + footer + following)))
    window.ahead = ahead
    assert window.read(1) == b"x"
    window.peek(12)
    check = window.check(12, length)
    assert check.holds
    assert (check.n_data, check.footer, check.next_header) == (length, footer, following)
    assert window.read(10**6) == header + data + footer + following
