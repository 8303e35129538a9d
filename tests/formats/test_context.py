"""Reading the context of large records alone. Whole records are tested in test_tfrecord.py."""

import numpy as np
import pytest
from shard_files import flip

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import (
    FrameRecord,
    context_size,
    decode_context,
    decode_frames,
    encode_frames,
)
from yt8m_spark.formats.tfrecord import Damage, Record, scan_records, write_records
from yt8m_spark.formats.window import Head
from yt8m_spark.formats.wire import encode_bytes

CHECKED, GLANCED = Head(context_size), Head(context_size, check=False)


def frames(number, n_frames=90):
    """A record of about 92 kB: above the size from which only its head is kept."""
    codes = np.random.default_rng(number).integers(0, 256, (n_frames, 1024), dtype=np.uint8)
    labels = np.arange(number, number + 3)
    return encode_frames(FrameRecord(f"v{number}", labels, {"rgb": codes}, None))


def scan(path, head=None):
    with open(path, "rb") as file:
        return list(scan_records(file, path, head=head))


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "x.tfrecord")
    write_records(path, [frames(number, 90 if number < 6 else 2) for number in range(7)])
    return path


@pytest.mark.parametrize("head", [CHECKED, GLANCED])
def test_heads_hold_the_same_ids_and_labels_as_whole_records(path, head):
    whole, heads = scan(path), scan(path, head)
    assert [(one.number, one.offset) for one in heads] == [(r.number, r.offset) for r in whole]
    for one, record in zip(heads, whole, strict=True):
        expected, found = decode_frames(record.data), decode_context(one.data)
        assert found.video_id == expected.video_id
        assert found.labels.tolist() == expected.labels.tolist()
    assert len(heads[1].data) < 100  # large
    assert heads[6].data == whole[6].data  # small


def test_zipped_shards_give_the_same_heads(path, tmp_path):
    zipped = str(tmp_path / "z.tfrecord.gz")
    write_records(zipped, [record.data for record in scan(path)], compress=True)
    for head in (CHECKED, GLANCED):
        assert [one.data for one in scan(zipped, head)] == [one.data for one in scan(path, head)]


def test_damage_to_frames_that_nobody_wants_is_found_all_the_same(path):
    large = scan(path)[1]
    flip(path, large.offset + 50_000)
    found = scan(path, CHECKED)
    assert isinstance(found[1], Damage)
    assert found[1] == scan(path)[1]
    assert [type(one) for one in found[2:]] == [Record] * 5


def test_without_checks_of_the_data_only_frames_may_be_damaged_unseen(path):
    whole, before = scan(path), scan(path, GLANCED)
    flip(path, whole[1].offset + 50_000)
    assert scan(path, GLANCED) == before
    flip(path, whole[2].offset)  # a length
    assert isinstance(scan(path, GLANCED)[2], Damage)


@pytest.mark.parametrize("head", [CHECKED, GLANCED])
def test_a_record_that_is_cut_short_is_damage(path, head):
    last = scan(path)[5]
    with open(path, "r+b") as file:
        file.truncate(last.offset + 70_000)
    found = scan(path, head)
    assert [type(one) for one in found] == [Record] * 5 + [Damage]
    assert found == [*scan(path, head)[:5], scan(path)[5]]


def test_the_context_ends_where_the_feature_lists_begin():
    data = frames(3)
    lists = encode_bytes(2, b"")
    size = context_size(data, len(data))
    assert data[size] == lists[0]
    assert context_size(data[:200], len(data)) == size


def test_a_context_in_two_parts_needs_the_whole_record():
    data = frames(3)
    more = data + encode_bytes(1, b"")
    assert context_size(more[:4096], len(more)) == len(more)
    swapped = encode_bytes(2, b"abc") + encode_bytes(1, b"")
    assert context_size(swapped, len(swapped)) == len(swapped)
    assert context_size(b"", 0) == 0
    assert context_size(b"\x0a\xff\xff", 3) == 3


def test_a_second_part_of_the_context_is_not_missed(tmp_path):
    labels = encode_frames(FrameRecord("other", np.array([9]), {}, None))
    path = str(tmp_path / "x.tfrecord")
    write_records(path, [frames(3) + labels])
    for head in (CHECKED, GLANCED):
        (record,) = scan(path, head)
        assert decode_context(record.data).labels.tolist() == [9]  # the last key wins


def test_a_context_without_an_id_is_refused():
    with pytest.raises(InputError, match="here: no video id"):
        decode_context(encode_bytes(1, b""), where="here")
