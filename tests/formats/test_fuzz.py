"""Random damage to records and files. That undamaged ones are right is tested elsewhere.

``YT8M_FUZZ_EXAMPLES`` is the number of damaged records that each test makes (`make fuzz`: 200,000),
``YT8M_FUZZ_SEED`` where they start; both are in the message of a failure. Every example has a
generator of its own, so one can be repeated alone.
"""

import gzip
import io
import math
import os
import struct
import tracemalloc
import zlib
from collections import Counter

import google_crc32c
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import (
    FrameRecord,
    Segments,
    VideoRecord,
    decode_frames,
    decode_video,
    detect_level,
    encode_frames,
    encode_video,
)
from yt8m_spark.formats.tfrecord import Damage, Record, scan_records
from yt8m_spark.formats.wire import encode_bytes, encode_varint

N_RECORDS = int(os.environ.get("YT8M_FUZZ_EXAMPLES", "2000"))
SEED = int(os.environ.get("YT8M_FUZZ_SEED", "0"))
RECORDS_A_FILE = 10
LENGTHS = [0, 1, 50, 500, 2**20, 2**31 - 1, 2**31, 2**60, 2**64 - 1]

SEGMENTS = Segments(*np.array([[5], [10], [7]]), np.array([0.5], np.float32))
VIDEO = encode_video(VideoRecord("abcd", np.array([3, 300]), {"mean_rgb": np.ones(6, np.float32)}))
FRAMES = encode_frames(
    FrameRecord("abcd", np.array([3]), {"rgb": np.ones((3, 5), np.uint8)}, SEGMENTS)
)
LARGE = encode_frames(FrameRecord("efgh", np.arange(9), {"rgb": np.ones((30, 64), np.uint8)}, None))
PAYLOADS = [VIDEO, FRAMES, LARGE, b""]


def masked(content):
    crc = google_crc32c.value(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def header(length):
    packed = struct.pack("<Q", length)
    return packed + masked(packed)


def framed(data):
    return header(len(data)) + data + masked(data)


# --- Bytes and where they came from, changed together: -1 is a byte that came from nowhere.


def rubbish(rng, size):
    kind = rng.integers(3)
    if kind == 0:
        values = rng.integers(0, 256, size, np.uint8)
    else:
        values = np.full(size, (0, 0xFF)[kind - 1], np.uint8)
    return np.stack([values, np.full(size, -1)])


def stretch(rng, pair, longest=400):
    start = int(rng.integers(pair.shape[1] + 1))
    return start, min(start + int(rng.integers(1, longest)), pair.shape[1])


def flip(rng, pair, other):
    for at in rng.integers(0, pair.shape[1], rng.integers(1, 9)):
        pair[0, at] ^= 1 << rng.integers(8)
        pair[1, at] = -1
    return pair


def cut(rng, pair, other):
    return pair[:, : rng.integers(pair.shape[1] + 1)]


def drop(rng, pair, other):
    start, stop = stretch(rng, pair)
    return np.delete(pair, slice(start, stop), axis=1)


def insert(rng, pair, other):
    at = int(rng.integers(pair.shape[1] + 1))
    return np.concatenate([pair[:, :at], rubbish(rng, rng.integers(1, 300)), pair[:, at:]], axis=1)


def overwrite(rng, pair, other):
    start, stop = stretch(rng, pair)
    pair[:, start:stop] = rubbish(rng, stop - start)
    return pair


def splice(rng, pair, other):
    at, resumed = rng.integers(pair.shape[1] + 1), rng.integers(other.shape[1] + 1)
    return np.concatenate([pair[:, :at], other[:, resumed:]], axis=1)


def duplicate(rng, pair, other):
    start, stop = stretch(rng, pair, 2000)
    at = int(rng.integers(pair.shape[1] + 1))
    return np.concatenate([pair[:, :at], pair[:, start:stop], pair[:, at:]], axis=1)


def swap(rng, pair, other):
    a, b, c, d = np.sort(rng.integers(0, pair.shape[1] + 1, 4))
    parts = pair[:, :a], pair[:, c:d], pair[:, b:c], pair[:, a:b], pair[:, d:]
    return np.concatenate(parts, axis=1)


def false_header(rng, pair, other):
    """A length that passes its checksum, over a true header or anywhere."""
    length = LENGTHS[rng.integers(len(LENGTHS))]
    starts = np.flatnonzero(np.isin(pair[1], list(STARTS)))
    at = int(rng.choice(starts) if len(starts) and rng.integers(2) else rng.integers(len(pair[0])))
    new = np.frombuffer(header(length), np.uint8)[: pair.shape[1] - at]
    pair[0, at : at + len(new)] = new
    pair[1, at : at + len(new)] = -1
    return pair


CHANGES = [flip, cut, drop, insert, overwrite, splice, duplicate, swap]
STARTS = {}  # of the records of the pool below: offset -> bytes with framing
POOL = b""
for _data in np.random.default_rng(1).choice(np.array(PAYLOADS, object), 2 * RECORDS_A_FILE):
    STARTS[len(POOL)] = framed(_data)
    POOL += STARTS[len(POOL)]
HALF = sorted(STARTS)[RECORDS_A_FILE]


def damaged(rng, content, other, changes, base=0):
    """``content`` with one to four changes, and where each byte came from."""
    pair = np.stack([np.frombuffer(content, np.uint8), base + np.arange(len(content))])
    spare = np.stack([np.frombuffer(other, np.uint8), base + len(content) + np.arange(len(other))])
    for _ in range(rng.integers(1, 5)):
        if pair.shape[1]:
            pair = changes[rng.integers(len(changes))](rng, pair, spare)
    return pair[0].astype(np.uint8).tobytes(), pair[1]


def examples(count):
    """Numbered generators; the number and seed repeat an example."""
    for number in range(count):
        yield f"seed {SEED}, example {number}", np.random.default_rng([SEED, number])


# --- Files


def is_header(content, at):
    return at + 12 <= len(content) and content[at + 8 : at + 12] == masked(content[at : at + 8])


def record_at(content, at):
    """Data of the record at ``at``, None if there is none."""
    if content[at + 4 : at + 8] != bytes(4) or not is_header(content, at):
        return None
    (length,) = struct.unpack_from("<Q", content, at)
    data = content[at + 12 : at + 12 + length]
    whole = at + 16 + length <= len(content) and length < 2**31
    return data if whole and content[at + 12 + length :][:4] == masked(data) else None


def by_hand(content):
    """Offset and data of records, or offset and size of damage, byte by byte as documented."""
    at, found = 0, []
    while at < len(content):
        data = record_at(content, at)
        if data is not None:
            found.append((at, data))
            at += 16 + len(data)
            continue
        stop = len(content)
        if is_header(content, at):
            end = at + 16 + struct.unpack_from("<Q", content, at)[0]
            stop = min(stop, end)
            if end <= len(content) and (end == len(content) or is_header(content, end)):
                found.append((at, end - at))
                at = end
                continue
        start = at
        at = next((p for p in range(at + 1, stop) if record_at(content, p) is not None), stop)
        found.append((start, at - start))
    return found


def survivors(content, origin):
    """Offset and data of every record of the pool that is all there, wherever it went."""
    for at in np.flatnonzero(np.isin(origin, list(STARTS))):
        whole = STARTS[int(origin[at])]
        if np.array_equal(origin[at : at + len(whole)], origin[at] + np.arange(len(whole))):
            yield int(at), whole[12:-4]


def scan(content):
    return list(scan_records(io.BytesIO(content), "shard"))


def told(items):
    return [(one.offset, one.data if isinstance(one, Record) else one.n_bytes) for one in items]


def test_fuzz_damaged_files_give_every_record_that_is_whole(capsys):
    counts = Counter()
    for example, rng in examples(N_RECORDS // RECORDS_A_FILE):
        content, origin = damaged(rng, POOL[:HALF], POOL[HALF:], [*CHANGES, false_header])
        items = scan(content)
        assert told(items) == by_hand(content), example
        assert [item.number for item in items] == list(range(len(items))), example
        damage = [item for item in items if isinstance(item, Damage)]
        assert all(one.reason and "\n" not in one.reason for one in damage), example
        records = {one.offset: one.data for one in items if isinstance(one, Record)}
        assert set(records.values()) <= set(PAYLOADS), example
        for at, data in survivors(content, origin):
            # In the place of a damaged record whose length is right, that is its data.
            inside = any(
                one.offset < at < one.offset + one.n_bytes
                and one.reason.startswith("data")
                and "resynchronised" not in one.reason
                for one in damage
            )
            assert inside or records.get(at) == data, example
            counts["inside"] += inside
        counts.update(files=1, records=len(records), damage=len(damage))
    report(capsys, "files", counts)


def unzipped(content):
    """All that unzips before the first error, byte by byte."""
    inflater, data = zlib.decompressobj(31), []
    for at in range(len(content)):
        if inflater.eof and not content[at]:
            continue
        if inflater.eof:
            inflater = zlib.decompressobj(31)
        try:
            data.append(inflater.decompress(content[at : at + 1]))
        except zlib.error:
            break
    return b"".join(data)


def test_fuzz_damaged_zipped_files_give_every_record_that_unzips(capsys):
    zipped = [gzip.compress(POOL[:HALF], mtime=0), gzip.compress(POOL[HALF:], mtime=0)]
    counts = Counter()
    for example, rng in examples(N_RECORDS // RECORDS_A_FILE):
        content, _ = damaged(rng, *zipped, CHANGES)
        is_zipped = content.startswith(b"\x1f\x8b")
        items = scan(content)
        plain = unzipped(content) if is_zipped else content
        records = [one for one in told(items) if isinstance(one[1], bytes)]
        assert records == [one for one in by_hand(plain) if isinstance(one[1], bytes)], example
        assert {data for _, data in records} <= set(PAYLOADS), example
        covered = sum(
            len(one.data) + 16 if isinstance(one, Record) else one.n_bytes for one in items
        )
        # zlib may give a few symbols more, before the error, when asked for few bytes at a time.
        assert len(plain) <= covered < len(plain) + 600, example
        counts.update(files=1, records=len(records), damage=len(items) - len(records))
    report(capsys, "zipped files", counts)


def report(capsys, what, counts):
    """Print what was tried, past pytest's capture: a run says how much it has shown."""
    if "YT8M_FUZZ_EXAMPLES" in os.environ:
        with capsys.disabled():
            told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
            print(f"\nfuzz of {what}: {told} (seed {SEED})")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("length", [2**20, 2**31 - 1, 2**31, 2**32, 2**60, 2**64 - 1])
def test_absurd_length_with_a_right_checksum_takes_no_memory(length, pack):
    content = pack(framed(VIDEO) + header(length) + framed(FRAMES) + header(length))
    tracemalloc.start()
    items = scan(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [one.data for one in items if isinstance(one, Record)] == [VIDEO, FRAMES]
    assert peak < 2**22


# --- Records whose data are damaged and whose checksum is right


def stretch_varint(rng, pair, other):
    """One more byte, or many, of a number that goes on."""
    at = int(rng.integers(pair.shape[1] + 1))
    more = np.full(int(rng.choice([1, 2, 9, 40])), 0x80 | rng.integers(128))
    new = np.stack([more, np.full(len(more), -1)])
    return np.concatenate([pair[:, :at], new, pair[:, at:]], axis=1)


def touch(rng, pair, other):
    """One byte, so that most of the message stays what it was."""
    pair[0, rng.integers(pair.shape[1])] = rng.integers(256)
    return pair


PAYLOAD_CHANGES = [*[touch] * 30, *CHANGES, stretch_varint]


def parsed_maps(pb, data):
    """Context and feature lists as protobuf has them."""
    parsed = pb.SequenceExample.FromString(data)
    # Its Python package sets a map's entry aside if an unknown field is in it, unlike C++'s.
    if any(len(UnknownFieldSet(part)) for part in (parsed.context, parsed.feature_lists)):
        raise DecodeError
    return parsed.context.entry, parsed.feature_lists.entry


def decoded(decode, data):
    """What ``decode`` gives, or None where it refuses the data as it should."""
    try:
        return decode(data, where="shard, record 1")
    except InputError as error:
        assert str(error).startswith("shard, record 1: "), error  # noqa: PT017 - or it is read
        assert "\n" not in str(error)  # noqa: PT017
        return None


def same(ours, theirs):
    return np.asarray(ours).tolist() == list(theirs)


def check_video(record, context):
    name = "id" if "id" in context else "video_id"
    assert context[name].bytes_list.value == [record.video_id.encode()]
    assert same(record.labels, context["labels"].int64_list.value)
    floats = {k: v.float_list.value for k, v in context.items() if v.HasField("float_list")}
    assert set(record.features) == set(floats)
    assert all(same(values, floats[name]) for name, values in record.features.items())


def check_frames(record, context, lists):
    name = "id" if "id" in context else "video_id"
    assert context[name].bytes_list.value == [record.video_id.encode()]
    assert same(record.labels, context["labels"].int64_list.value)
    # A list whose first Feature holds numbers is none of frames, and is left out.
    kinds = {
        name: frames.feature[0].WhichOneof("kind") if frames.feature else None
        for name, frames in lists.items()
    }
    expected = {
        name: b"".join(one.bytes_list.value[0] for one in frames.feature)
        for name, frames in lists.items()
        if kinds[name] in (None, "bytes_list")
    }
    assert {name: frames.tobytes() for name, frames in record.features.items()} == expected


def test_fuzz_damaged_records_are_refused_or_are_what_protobuf_reads(pb, capsys):
    counts = Counter()
    whole = [VIDEO, FRAMES, LARGE]
    for example, rng in examples(N_RECORDS):
        first, second = rng.permutation(3)[:2]
        data, _ = damaged(rng, whole[first], whole[second], PAYLOAD_CHANGES)
        video, frames = decoded(decode_video, data), decoded(decode_frames, data)
        level = decoded(detect_level, data)
        assert video is None or level == "video", example
        assert frames is None or level == "frame", example
        counts.update(records=1, videos=video is not None, frames=frames is not None)
        try:
            context, lists = parsed_maps(pb, data)
        except DecodeError:  # each may refuse what the other reads, as padded varints
            continue
        try:
            if video is not None:
                check_video(video, context)
            if frames is not None:
                check_frames(frames, context, lists)
        except AssertionError as error:
            raise AssertionError(example) from error
        counts["read by both"] += video is not None or frames is not None
    report(capsys, "records", counts)


def test_fuzz_any_bytes_are_refused_or_read():
    for _, rng in examples(N_RECORDS // 10):
        data = rng.bytes(rng.integers(64))
        for decode in (decode_video, decode_frames, detect_level):
            decoded(decode, data)


@pytest.mark.parametrize("number", [1, 2])
def test_messages_nested_deeply_are_refused_or_read_at_once(number):
    data = b""
    for _ in range(20_000):
        data = encode_bytes(number, data)
    for decode in (decode_video, decode_frames, detect_level):
        decoded(decode, data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80" * 100_000,
        b"\x0a" + b"\xff" * 100_000,
        b"\x0a" + encode_varint(2**63) + b"x",
        b"\x0a" + encode_varint(2**64 - 1),
        encode_bytes(1, encode_bytes(1, b"\x0a\x06labels\x12" + b"\xff" * 50)),
        b"\x0b" * 100_000,  # groups that never end
    ],
)
def test_endless_numbers_and_groups_are_refused(data):
    tracemalloc.start()
    assert [decoded(decode, data) for decode in (decode_video, decode_frames)] == [None, None]
    decoded(detect_level, data)  # it may tell without looking so far
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_long_varints_of_labels_are_read_as_protobuf_reads_them(pb):
    ints = b"".join(encode_varint(value) for value in (0, 127, 128, 2**63, 2**64 - 1))
    feature = encode_bytes(3, encode_bytes(1, ints + b"\x81\x80\x80\x80\x00"))  # 1, padded
    entries = [
        encode_bytes(1, encode_bytes(1, b"labels") + encode_bytes(2, feature)),
        encode_bytes(1, encode_bytes(1, b"id") + encode_bytes(2, encode_bytes(1, b"\x0a\x01a"))),
    ]
    data = encode_bytes(1, b"".join(entries))
    labels = decode_video(data).labels.tolist()
    assert labels == list(parsed_maps(pb, data)[0]["labels"].int64_list.value)
    assert labels == [0, 127, 128, -(2**63), -1, 1]


def test_not_a_number_is_refused_behind_a_right_checksum():
    data = bytearray(VIDEO)
    at = data.index(struct.pack("<f", 1))
    data[at : at + 4] = struct.pack("<f", math.nan)
    (record,) = scan(framed(bytes(data)))
    with pytest.raises(InputError, match="'mean_rgb' is not finite"):
        decode_video(record.data)
