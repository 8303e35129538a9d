"""Ranges of big shards. Reading whole files is tested in test_tfrecord."""

import gzip
import io
import struct

import numpy as np
import pytest

from yt8m_spark.formats.framing import frame
from yt8m_spark.formats.ranges import record_ranges
from yt8m_spark.formats.tfrecord import Record, scan_records

WHOLE = [(0, None, 0)]


def content_of(sizes, seed=0):
    rng = np.random.default_rng(seed)
    records = [rng.bytes(size) for size in sizes]
    return b"".join(h + data + f for data, (h, f) in zip(records, map(frame, records), strict=True))


def ranges_of(content, target):
    return record_ranges(io.BytesIO(content), len(content), target)


def read_in_ranges(content, target):
    file = io.BytesIO(content)
    return [
        item
        for start, stop, number in ranges_of(content, target)
        for item in scan_records(file, "x", start=start, stop=stop, first_number=number)
    ]


@pytest.mark.parametrize("target", [1, 100, 1000, 5000, 10**6])
@pytest.mark.parametrize("sizes", [[0], [50] * 40, [10, 3000, 0, 0, 700, 1] * 5, [9000, 5, 5, 5]])
def test_ranges_together_give_the_records_of_the_whole(sizes, target):
    content = content_of(sizes)
    records = list(scan_records(io.BytesIO(content), "x"))
    assert len(records) == len(sizes)
    assert read_in_ranges(content, target) == records


def test_ranges_are_of_about_the_target():
    content = content_of([84] * 1000)  # 100 bytes each with their framing
    ranges = ranges_of(content, 25_000)
    assert ranges == [
        (0, 25_000, 0),
        (25_000, 50_000, 250),
        (50_000, 75_000, 500),
        (75_000, None, 750),
    ]


def test_record_larger_than_a_range_is_not_divided():
    content = content_of([10, 20_000, 10, 10])  # 26, 20,016, 26 and 26 bytes
    assert ranges_of(content, 1000) == [(0, 20_042, 0), (20_042, None, 2)]


def test_small_gzipped_and_empty_files_are_one_range():
    content = content_of([100] * 10)
    assert ranges_of(content, 1000) == WHOLE
    assert ranges_of(b"", 1) == WHOLE
    assert ranges_of(gzip.compress(content), 10) == WHOLE


@pytest.mark.parametrize("at", [0, 500, 1160 - 17])
def test_file_with_a_damaged_length_is_one_range(at):
    content = bytearray(content_of([100] * 10))
    content[at // 116 * 116] ^= 1
    assert ranges_of(bytes(content), 200) == WHOLE


def test_file_cut_short_is_one_range():
    content = content_of([100] * 10)
    for size in (len(content) - 1, len(content) - 100, len(content) - 110):
        assert ranges_of(content[:size], 200) == WHOLE


def test_length_beyond_that_of_any_record_is_one_range():
    length = struct.pack("<Q", 2**60)
    content = content_of([100] * 10) + length + bytes(100)
    assert ranges_of(content, 200) == WHOLE


def test_damaged_data_are_told_in_their_range_alone():
    content = bytearray(content_of([100] * 10))
    content[116 * 5 + 50] ^= 1
    items = read_in_ranges(bytes(content), 300)
    assert [type(item) is Record for item in items] == [n != 5 for n in range(10)]
    assert [item.number for item in items] == list(range(10))


def test_range_of_no_bytes_is_refused():
    with pytest.raises(ValueError, match="target_bytes must be at least 1, got 0"):
        ranges_of(b"", 0)


def test_only_the_headers_are_read():
    class Counting(io.BytesIO):
        n_bytes = 0

        def read(self, size):
            self.n_bytes += size
            return super().read(size)

    content = content_of([1000] * 50)
    file = Counting(content)
    assert len(record_ranges(file, len(content), 5000)) == 10
    assert file.n_bytes == 12 * 51  # one more to see that it is not gzip'ed


def test_real_shard_in_ranges_gives_its_records(shared_data):
    path = sorted((shared_data / "yt8m_video").glob("*.tfrecord"))[0]
    content = path.read_bytes()
    records = list(scan_records(io.BytesIO(content), "x"))
    assert len(ranges_of(content, len(content) // 5)) == 5
    assert read_in_ranges(content, len(content) // 5) == records
