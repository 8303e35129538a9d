"""TFRecord framing. What is inside the records is tested in test_examples."""

import gzip
import os
import struct
import tracemalloc

import google_crc32c
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.tfrecord import Record, read_records, write_records

RECORDS = [b"one", b"", b"three" * 1000]


def framed(data):
    """A record by TensorFlow's own description of the format, with another CRC library."""

    def masked(content):
        crc = google_crc32c.value(content)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


CONTENT = b"".join(map(framed, RECORDS))


def write(tmp_path, content):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(content)
    return str(path)


def read(path):
    return list(read_records(path))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_records_are_read_in_order_with_their_numbers(tmp_path, pack):
    path = write(tmp_path, pack(CONTENT))
    assert read(path) == [Record(number, data) for number, data in enumerate(RECORDS)]


def test_written_file_is_laid_out_as_described(tmp_path):
    path = str(tmp_path / "x.tfrecord")
    assert write_records(path, iter(RECORDS)) == 3
    assert (tmp_path / "x.tfrecord").read_bytes() == CONTENT


def test_compressed_file_is_the_same_in_fewer_bytes_every_time(tmp_path):
    first, second = tmp_path / "1.gz", tmp_path / "2.gz"
    for path in (first, second):
        write_records(str(path), RECORDS, compress=True)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[4:8] == bytes(4)  # the time of writing (RFC 1952, 2.3)
    assert gzip.decompress(first.read_bytes()) == CONTENT


def test_file_without_a_byte_has_no_records(tmp_path):
    assert read(write(tmp_path, b"")) == []
    assert read(write(tmp_path, gzip.compress(b""))) == []


def test_first_record_whose_length_looks_like_gzip_is_read(tmp_path):
    data = bytes(0x8B1F)
    content = framed(data)
    assert content.startswith(b"\x1f\x8b")
    assert read(write(tmp_path, content)) == [Record(0, data)]


def test_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(CONTENT)

    def records():
        yield b"new"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_records(str(path), records())
    assert [file.name for file in tmp_path.iterdir()] == ["x.tfrecord"]
    assert path.read_bytes() == CONTENT


def test_file_is_hidden_until_it_is_whole(tmp_path):
    seen = []

    def records():
        yield b"one"
        seen.extend(os.listdir(tmp_path))

    write_records(str(tmp_path / "x.tfrecord"), records())
    assert all(name.startswith(".") for name in seen)
    assert len(seen) == 1


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such file in .*none\.tfrecord"):
        read(str(tmp_path / "none.tfrecord"))
    with pytest.raises(InputError, match="cannot be read"):
        read(str(tmp_path))


@pytest.mark.parametrize("content", [b"video_id,labels\nabcd,1\n", b"short", b"PAR1" * 9])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_file_that_is_no_tfrecord_is_refused(tmp_path, content, pack):
    with pytest.raises(InputError, match=r"not a TFRecord file in .*x\.tfrecord, record 0, byte 0"):
        read(write(tmp_path, pack(content)))


SECOND, THIRD = len(framed(RECORDS[0])), len(framed(RECORDS[0])) + len(framed(RECORDS[1]))


@pytest.mark.parametrize(
    ("size", "part"),
    [
        (THIRD + 5, "header"),
        (THIRD + 12, "data"),
        (THIRD + 99, "data"),
        (len(CONTENT) - 1, "checksum"),
    ],
)
def test_truncated_file_is_refused_after_its_whole_records(tmp_path, size, part):
    records = read_records(write(tmp_path, CONTENT[:size]))
    assert [next(records).data, next(records).data] == RECORDS[:2]
    with pytest.raises(InputError, match=rf"cut short: {part} .*record 2, byte {THIRD}, expected"):
        next(records)


@pytest.mark.parametrize(
    ("position", "message"),
    [
        (SECOND + 3, rf"length of a record is corrupt .*record 1, byte {SECOND}"),
        (SECOND + 9, rf"length of a record is corrupt .*record 1, byte {SECOND}"),
        (SECOND + 13, rf"data of a record is corrupt .*record 1, byte {SECOND}"),
        (THIRD + 40, rf"data of a record is corrupt .*record 2, byte {THIRD}"),
    ],
)
def test_changed_bit_is_refused(tmp_path, position, message):
    content = bytearray(CONTENT)
    content[position] ^= 4
    with pytest.raises(InputError, match=message):
        read(write(tmp_path, bytes(content)))


@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**63])
def test_giant_length_takes_no_memory(tmp_path, length):
    path = write(tmp_path, framed(b"ok") + with_length(length) + b"little")
    tracemalloc.start()
    with pytest.raises(InputError, match="record 1, byte 18"):
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26


def with_length(length):
    """Header of a record, its checksum right."""
    packed = struct.pack("<Q", length)
    crc = google_crc32c.value(packed)
    return packed + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def test_damaged_gzip_is_refused(tmp_path):
    zipped = gzip.compress(CONTENT)
    for damaged in (zipped[:-9], zipped[:12], zipped[:20] + b"\xff\xff" + zipped[22:]):
        with pytest.raises(InputError, match=r"x\.tfrecord, record"):
            read(write(tmp_path, damaged))
    with pytest.raises(InputError, match="damaged gzip data"):
        read(write(tmp_path, zipped[:-9]))
    with pytest.raises(InputError, match="damaged gzip data"):
        read(write(tmp_path, zipped + b"rubbish"))


def test_real_files_are_read_whole(shared_data):
    shards = sorted((shared_data / "yt8m_video").glob("*.tfrecord"))
    assert sum(len(read(str(path))) for path in shards) == 13_998  # of its own documentation
