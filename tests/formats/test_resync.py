"""Finding the next whole record. What `scan_records` makes of it is tested in test_tfrecord."""

import io
import struct

import google_crc32c
import numpy as np
import pytest

from yt8m_spark.formats.framing import frame
from yt8m_spark.formats.resync import header_positions, seek_record
from yt8m_spark.formats.streams import open_stream
from yt8m_spark.formats.window import Window


def masked(content):
    crc = google_crc32c.value(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def header(length):
    packed = struct.pack("<Q", length)
    return packed + masked(packed)


def framed(data):
    return b"".join((header(len(data)), data, masked(data)))


def brute_force(block):
    """Every position tried by itself."""
    return [
        at
        for at in range(len(block) - 11)
        if block[at + 8 : at + 12] == masked(block[at : at + 8])
        and struct.unpack_from("<Q", block, at)[0] < 2**31
    ]


LENGTHS = [0, 1, 255, 256, 0x1000000, 2**31 - 1]


@pytest.mark.parametrize("filling", [bytes(600), b"\1\0\0\0\0\0\0\0" * 75, b"\xff" * 600])
def test_headers_are_found_where_trying_every_byte_finds_them(filling):
    rng = np.random.default_rng(0)
    block = bytearray(filling + rng.bytes(600))
    for length in [*LENGTHS, 2**31, 2**40, 2**63]:
        at = int(rng.integers(len(block) - 12))
        block[at : at + 12] = header(length)
    found = header_positions(bytes(block)).tolist()
    assert found == brute_force(bytes(block))
    assert len(found) >= 4


@pytest.mark.parametrize("length", LENGTHS)
def test_header_is_found_at_every_position_of_a_block(length):
    for at in range(30):
        assert header_positions(bytes(at) + header(length) + bytes(at % 3)).tolist() == [at]


def test_header_that_is_cut_short_is_none():
    for size in range(12):
        assert header_positions(header(5)[:size]).tolist() == []


def test_twelve_zeros_are_no_header():
    assert frame(b"")[0] != bytes(12)


def window_on(content):
    return Window(open_stream(io.BytesIO(content)))


@pytest.mark.parametrize("n_bytes", [1, 11, 12, 2**18 - 12, 2**18 - 1, 2**18, 2**18 + 1, 2**20])
def test_record_is_found_behind_rubbish_of_any_length(n_bytes):
    rubbish = np.random.default_rng(n_bytes).bytes(n_bytes)
    window = window_on(rubbish + framed(b"found") + framed(b"next"))
    assert seek_record(window)
    assert window.offset == n_bytes
    assert window.peek(21) == framed(b"found")


def test_record_with_damaged_data_or_past_the_end_is_passed_over():
    broken = framed(b"broken")[:-1] + b"\0"
    window = window_on(b"x" + broken + header(10**6) + framed(b"") + b"tail")
    assert seek_record(window)
    assert window.offset == 1 + len(broken) + 12


def test_without_a_record_the_search_ends_at_the_end():
    window = window_on(framed(b"first") + bytes(10**6))
    assert not seek_record(window)
    assert window.offset == 21 + 10**6


@pytest.mark.parametrize("stop", [5, 99, 100])
def test_record_must_start_before_stop(stop):
    window = window_on(bytes(100) + framed(b"found"))
    assert not seek_record(window, stop)
    assert window.offset == stop
    window = window_on(bytes(100) + framed(b"found"))
    assert seek_record(window, 101)
    assert window.offset == 100


class Counting(io.BytesIO):
    n_bytes = 0

    def read(self, size):
        self.n_bytes += size
        return super().read(size)


def test_file_full_of_false_headers_takes_no_time_of_its_square():
    # Each of them announces 2 MB: checking them all would read 500 GB.
    n_headers = 250_000
    file = Counting(header(2_000_000) * n_headers + framed(b"found"))
    window = Window(open_stream(file))
    assert seek_record(window)
    assert window.offset == 12 * n_headers
    assert file.n_bytes < 2e9
