"""TFRecord framing. Records are decoded in test_examples, random damage is in test_fuzz."""

import gzip
import io
import os
import struct
import tracemalloc
import zlib

import google_crc32c
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.tfrecord import (
    Damage,
    Record,
    raise_damage,
    read_records,
    scan_records,
    write_records,
)

RECORDS = [b"one", b"", b"three" * 1000]


def framed(data):
    """A record by TensorFlow's own description of the format, with another CRC library."""

    def masked(content):
        crc = google_crc32c.value(content)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


CONTENT = b"".join(map(framed, RECORDS))
SECOND, THIRD = len(framed(RECORDS[0])), len(framed(RECORDS[0])) + len(framed(RECORDS[1]))
WHOLE = [Record(0, RECORDS[0], 0), Record(1, RECORDS[1], SECOND), Record(2, RECORDS[2], THIRD)]


def write(tmp_path, content):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(content)
    return str(path)


def read(path):
    return list(read_records(path))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_records_are_read_in_order_with_their_numbers_and_offsets(tmp_path, pack):
    path = write(tmp_path, pack(CONTENT))
    assert read(path) == WHOLE


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
    assert read(write(tmp_path, content)) == [Record(0, data, 0)]


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


def scan(content, **places):
    return list(scan_records(io.BytesIO(content), "x", **places))


def changed(content, position):
    return content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]


def crc_in(content, position):
    return f"{struct.unpack_from('<I', content, position)[0]:08x}"


def test_record_with_changed_data_costs_itself_alone():
    content = changed(CONTENT, 13)
    stored, found = crc_in(content, 15), crc_in(framed(content[12:15]), 15)
    reason = f"data of a record is corrupt, expected masked CRC {stored}, found {found}"
    assert scan(content) == [Damage(0, 0, SECOND, reason), *WHOLE[1:]]


@pytest.mark.parametrize("position", [3, 9])
def test_after_a_changed_length_reading_goes_on_at_the_next_record(position):
    content = changed(CONTENT, position)
    stored, found = crc_in(content, 8), crc_in(with_length(*struct.unpack_from("<Q", content)), 8)
    reason = (
        f"length of a record is corrupt, expected masked CRC {stored}, found {found}, "
        f"resynchronised after {SECOND} bytes"
    )
    assert scan(content) == [Damage(0, 0, SECOND, reason), *WHOLE[1:]]


def test_tail_that_is_cut_off_is_told_in_bytes():
    content = CONTENT[: THIRD + 12 + 60]
    reason = "file is cut short: data of a record, expected 5000 bytes, found 60"
    assert scan(content) == [*WHOLE[:2], Damage(2, THIRD, 72, reason)]


@pytest.mark.parametrize("length", [6000, 2**31, 2**60])
def test_records_behind_a_length_past_the_end_are_found(length):
    content = framed(b"ok") + with_length(length) + b"rubbish" + CONTENT
    first, damage, *rest = scan(content)
    assert first == Record(0, b"ok", 0)
    assert damage[:3] == (1, 18, 19)
    assert damage.reason.endswith(f"found {length}, resynchronised after 19 bytes")
    assert [record.data for record in rest] == RECORDS
    assert [record.number for record in rest] == [2, 3, 4]


def test_records_swallowed_by_one_that_lost_bytes_are_found():
    data = bytes(range(250))
    content = framed(data)[:40] + CONTENT + framed(b"x" * 9)
    damage, *rest = scan(content)
    assert damage[:3] == (0, 0, 40)
    assert damage.reason.startswith("data of a record is corrupt")
    assert damage.reason.endswith("resynchronised after 40 bytes")
    assert [record.data for record in rest] == [*RECORDS, b"x" * 9]


def test_records_inside_a_damaged_record_are_not_taken_for_records():
    content = framed(b"a" + CONTENT) + framed(b"next")
    damage, following = scan(changed(content, 12))
    assert damage[:3] == (0, 0, 17 + len(CONTENT))
    assert following == Record(1, b"next", 17 + len(CONTENT))


def test_two_damaged_records_side_by_side_are_told_apart():
    content = changed(changed(CONTENT, 13), SECOND + 3)
    first, second, third = scan(content)
    assert first[:3] == (0, 0, SECOND)
    assert second[:3] == (1, SECOND, THIRD - SECOND)
    assert third == WHOLE[2]


@pytest.mark.parametrize(
    "content", [b"video_id,labels\nabcd,1\n", b"short", b"PAR1" * 9, bytes(99)]
)
def test_file_that_is_no_tfrecord_is_one_damage(content):
    (damage,) = scan(content)
    assert damage[:3] == (0, 0, len(content))
    assert damage.reason.startswith("not a TFRecord file, expected a length of 8 bytes and its CRC")


@pytest.mark.parametrize("size", [1 << 16, 1 << 22, (1 << 22) + 1])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_large_records_between_small_ones_are_read_or_told(size, pack):
    data = [b"a", os.urandom(size), b"", os.urandom(size), b"z" * 99]
    frames = [framed(one) for one in data]
    offsets = [sum(map(len, frames[:n])) for n in range(5)]
    whole = [
        Record(n, one, offset) for n, (one, offset) in enumerate(zip(data, offsets, strict=True))
    ]
    assert scan(pack(b"".join(frames))) == whole
    frames[1] = changed(frames[1], 500)
    first, damage, *rest = scan(pack(b"".join(frames)))
    assert [first, *rest] == [whole[0], *whole[2:]]
    assert damage[:3] == (1, 17, size + 16)


def test_zipped_records_behind_damage_inside_are_found():
    content = changed(changed(CONTENT, 3), THIRD + 50)
    first, second, third = scan(gzip.compress(content) + gzip.compress(framed(b"")))[:3]
    assert (first[:3], second[:2], third[:3]) == ((0, 0, SECOND), WHOLE[1][:2], (2, THIRD, 5016))


@pytest.mark.parametrize("length", [5000, 2**22 + 1, 2**31 - 1])
def test_zipped_records_behind_a_length_past_the_end_are_found(length):
    first, *rest = scan(gzip.compress(with_length(length) + CONTENT))
    assert first[:3] == (0, 0, 12)
    assert [record.data for record in rest] == RECORDS


def test_of_damaged_gzip_all_that_unzips_is_used():
    noise = [os.urandom(1000) for _ in range(60)]
    zipped = bytearray(gzip.compress(b"".join(map(framed, noise))))
    zipped[40_000:40_100] = bytes(100)
    unzipped = b""
    inflater = zlib.decompressobj(31)
    try:
        for byte in zipped:
            unzipped += inflater.decompress(bytes([byte]))
    except zlib.error:
        pass
    *records, damage = scan(bytes(zipped))
    assert [record.data for record in records if isinstance(record, Record)][:38] == noise[:38]
    assert records[-1].offset + 1016 <= len(unzipped) == damage.offset + damage.n_bytes
    assert damage.reason.startswith("damaged gzip data (")


def test_gzip_with_a_wrong_checksum_of_its_own_gives_every_record():
    zipped = gzip.compress(CONTENT)
    for damaged, reason in (
        (changed(zipped, len(zipped) - 7), "incorrect data check"),
        (zipped[:-3], "ends before"),
        (zipped + b"rubbish", "incorrect header check"),
    ):
        *records, damage = scan(damaged)
        assert records == WHOLE
        assert damage[:3] == (3, len(CONTENT), 0)
        assert reason in damage.reason


def test_gzip_of_several_members_and_padding_is_read():
    zipped = gzip.compress(CONTENT[:30]) + bytes(9) + gzip.compress(CONTENT[30:]) + bytes(600)
    assert scan(zipped) == WHOLE


def test_part_of_a_file_is_read_from_start_to_stop():
    assert scan(CONTENT, start=SECOND, first_number=1) == WHOLE[1:]
    assert scan(CONTENT, stop=THIRD) == WHOLE[:2]
    assert scan(CONTENT, stop=THIRD + 1) == WHOLE
    assert scan(CONTENT, start=SECOND, stop=THIRD, first_number=1) == WHOLE[1:2]
    damage, *none = scan(changed(CONTENT, SECOND + 3), start=SECOND, stop=THIRD, first_number=1)
    assert damage[:3] == (1, SECOND, THIRD - SECOND)
    assert none == []
    with pytest.raises(ValueError, match="only be read from its start"):
        scan(gzip.compress(CONTENT), start=SECOND)


class Bare:
    """A file with nothing but read, seek and tell, that gives at most 7 bytes at once."""

    def __init__(self, content):
        self._file = io.BytesIO(content)
        self.seek, self.tell = self._file.seek, self._file.tell

    def read(self, size):
        return self._file.read(min(size, 7))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_read_seek_and_tell_are_enough(pack):
    assert list(scan_records(Bare(pack(CONTENT)), "x")) == WHOLE


def test_file_system_that_fails_is_told_with_the_path():
    class Failing(Bare):
        def read(self, size):
            raise OSError(5, "Input/output error")

    with pytest.raises(InputError, match=r"cannot be read \(Input/output error\) in far/x"):
        list(scan_records(Failing(CONTENT), "far/x"))


def test_file_that_grows_is_read_as_long_as_it_was():
    file = io.BytesIO(CONTENT)
    records = scan_records(file, "x")
    read = [next(records)]
    file.seek(0, os.SEEK_END)
    file.write(framed(b"new")[:9])
    file.seek(len(CONTENT))
    assert read + list(records) == WHOLE


def test_damage_is_raised_with_its_place():
    with pytest.raises(InputError) as caught:
        raise_damage("x", Damage(7, 99, 12, "data is corrupt, expected 1, found 2"))
    assert str(caught.value) == "data is corrupt in x, record 7, byte 99, expected 1, found 2"


def test_search_through_a_damaged_file_takes_little_memory(tmp_path):
    path = tmp_path / "x"
    with path.open("wb") as file:  # what a lost disk leaves: zeros
        file.write(with_length(2**25) + bytes(2**25))
        file.write(with_length(2**60) + os.urandom(2**22))
        file.write(CONTENT)
    tracemalloc.start()
    with path.open("rb") as file:
        found = list(scan_records(file, "x"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [item.data for item in found if isinstance(item, Record)] == RECORDS
    assert peak < 2**24
