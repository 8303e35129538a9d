"""Random damage to records and files. That undamaged ones are right is tested elsewhere."""

import os

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from yt8m_spark.formats.tfrecord import read_records, write_records

FUZZ = settings(
    max_examples=int(os.environ.get("YT8M_FUZZ_EXAMPLES", "300")),
    deadline=None,
    database=None,
    derandomize="YT8M_FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

SEGMENTS = Segments(*np.array([[5], [10], [7]]), np.array([0.5], np.float32))
VIDEO = encode_video(VideoRecord("abcd", np.array([3, 300]), {"mean_rgb": np.ones(6, np.float32)}))
FRAMES = encode_frames(
    FrameRecord("abcd", np.array([3]), {"rgb": np.ones((3, 5), np.uint8)}, SEGMENTS)
)

damage = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "insert", "drop"]), st.integers(0), st.integers(0, 255)
    ),
    min_size=1,
    max_size=4,
)


def damaged(data, changes):
    """``data`` after byte changes, truncations, insertions and deletions."""
    changed = bytearray(data)
    for action, position, value in changes:
        position %= len(changed) + 1
        if action == "cut":
            del changed[position:]
        elif action == "insert":
            changed.insert(position, value)
        elif position < len(changed):
            changed[position : position + 1] = b"" if action == "drop" else bytes([value])
    return bytes(changed)


def parsed_maps(pb, data):
    """Context and feature lists as protobuf has them."""
    parsed = pb.SequenceExample.FromString(data)
    # Its Python package sets a map's entry aside if an unknown field is in it, unlike C++'s.
    if any(len(UnknownFieldSet(part)) for part in (parsed.context, parsed.feature_lists)):
        raise DecodeError
    return parsed.context.entry, parsed.feature_lists.entry


@FUZZ
@given(st.sampled_from([VIDEO, FRAMES]), damage)
def test_fuzz_damaged_record_is_refused_or_read(data, changes):
    data = damaged(data, changes)
    for decode in (decode_video, decode_frames, detect_level):
        try:
            decode(data, where="shard, record 1")
        except InputError as error:
            assert str(error).startswith("shard, record 1: ")  # noqa: PT017 - or it is read
            assert "\n" not in str(error)  # noqa: PT017


@FUZZ
@given(damage)
def test_fuzz_damaged_video_that_is_read_is_what_protobuf_reads(pb, changes):
    data = damaged(VIDEO, changes)
    try:
        record = decode_video(data)
        context = parsed_maps(pb, data)[0]
    except (InputError, DecodeError):  # each may refuse what the other reads, as padded varints
        return
    name = "id" if "id" in context else "video_id"
    assert context[name].bytes_list.value == [record.video_id.encode()]
    assert record.labels.tolist() == list(context["labels"].int64_list.value)
    floats = {k: v.float_list.value for k, v in context.items() if v.HasField("float_list")}
    assert {name: values.tolist() for name, values in record.features.items()} == floats


@FUZZ
@given(damage)
def test_fuzz_damaged_frames_that_are_read_are_what_protobuf_reads(pb, changes):
    data = damaged(FRAMES, changes)
    try:
        record = decode_frames(data)
        lists = parsed_maps(pb, data)[1]
    except (InputError, DecodeError):
        return
    expected = {
        name: b"".join(one.bytes_list.value[0] for one in frames.feature)
        for name, frames in lists.items()
    }
    assert {name: frames.tobytes() for name, frames in record.features.items()} == expected


@FUZZ
@given(st.binary(max_size=64))
def test_fuzz_any_bytes_are_refused_or_read(data):
    for decode in (decode_video, decode_frames, detect_level):
        try:
            decode(data)
        except InputError:
            continue


@pytest.mark.parametrize("compress", [False, True])
def test_fuzz_damaged_file_gives_true_records_or_an_error(tmp_path, compress):
    path = str(tmp_path / "x.tfrecord")
    records = [VIDEO, FRAMES, b"", VIDEO]
    write_records(path, records, compress=compress)
    with open(path, "rb") as file:
        whole = file.read()

    @FUZZ
    @given(damage)
    def check(changes):
        with open(path, "wb") as file:
            file.write(damaged(whole, changes))
        read = []
        try:
            read.extend(data for _, data in read_records(path))
        except InputError as error:
            assert f"{path}, record {len(read)}, byte" in str(error)  # noqa: PT017
            # Damage to gzip's back-references can repeat a record, but only up to an error.
            assert all(data in records for data in read)
        else:
            assert read == records[: len(read)]

    check()
