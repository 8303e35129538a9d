"""Records against the protobuf package, both ways. Files are tested in test_tfrecord."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

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
from yt8m_spark.formats.tfrecord import read_records
from yt8m_spark.formats.wire import encode_bytes

LABELS = np.array([3, 3861, 0, 300])


def codes(n_frames, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n_frames, width), dtype=np.uint8)


def numbers(width, seed=0):
    return np.random.default_rng(seed).normal(size=width).astype(np.float32)


def fill_context(context, *, labels=LABELS, id_name="id"):
    context.entry[id_name].bytes_list.value.append("abçd".encode())
    context.entry["labels"].int64_list.value.extend(labels.tolist())


def fill_frames(lists, name, frames):
    for frame in frames:
        lists.entry[name].feature.add().bytes_list.value.append(frame.tobytes())
    lists.entry[name].SetInParent()


@pytest.fixture
def example(pb):
    message = pb.SequenceExample()
    fill_context(message.context)
    message.context.entry["mean_rgb"].float_list.value.extend(numbers(16).tolist())
    message.context.entry["mean_audio"].float_list.value.extend(numbers(4, 1).tolist())
    return message


@pytest.fixture
def sequence(pb):
    message = pb.SequenceExample()
    fill_context(message.context)
    fill_frames(message.feature_lists, "rgb", codes(5, 16))
    fill_frames(message.feature_lists, "audio", codes(4, 8, 1))
    return message


def assert_is_the_video(record):
    assert record.video_id == "abçd"
    assert_array_equal(record.labels, LABELS)
    assert record.features.keys() == {"mean_rgb", "mean_audio"}
    assert_array_equal(record.features["mean_rgb"], numbers(16))
    assert_array_equal(record.features["mean_audio"], numbers(4, 1))
    assert all(values.dtype == np.float32 for values in record.features.values())


def assert_is_the_frames(record):
    assert record.video_id == "abçd"
    assert_array_equal(record.labels, LABELS)
    assert record.features.keys() == {"rgb", "audio"}
    assert_array_equal(record.features["rgb"], codes(5, 16))
    assert_array_equal(record.features["audio"], codes(4, 8, 1))
    assert all(frames.dtype == np.uint8 for frames in record.features.values())
    assert record.segments is None


# What protobuf writes, we read.


def test_video_of_protobuf_is_read(example):
    assert_is_the_video(decode_video(example.SerializeToString()))


def test_plain_example_without_field_2_is_read(pb, example):
    plain = pb.Example()
    plain.features.CopyFrom(example.context)
    assert_is_the_video(decode_video(plain.SerializeToString()))


def test_empty_feature_lists_as_in_the_release_are_read(example):
    example.feature_lists.SetInParent()
    data = example.SerializeToString()
    assert data.endswith(b"\x12\x00")
    assert_is_the_video(decode_video(data))
    assert detect_level(data) == "video"


def test_unpacked_numbers_are_read(pb_unpacked, example):
    unpacked = pb_unpacked.SequenceExample.FromString(example.SerializeToString())
    data = unpacked.SerializeToString()
    assert len(data) > len(example.SerializeToString())
    assert_is_the_video(decode_video(data))


def test_order_of_keys_does_not_matter(pb, example):
    entries = [
        pb.Features(entry={name: feature}) for name, feature in example.context.entry.items()
    ]
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)):
        content = b"".join(entries[i].SerializeToString() for i in order)
        assert_is_the_video(decode_video(encode_bytes(1, content)))


def test_message_in_two_parts_is_merged(pb, example):
    first, second = pb.SequenceExample(), pb.SequenceExample()
    for number, (name, feature) in enumerate(example.context.entry.items()):
        (first, second)[number % 2].context.entry[name].CopyFrom(feature)
    assert_is_the_video(decode_video(first.SerializeToString() + second.SerializeToString()))


def test_repeated_keys_and_values_are_read_as_protobuf_reads_them(pb):
    def entry(*values):
        return encode_bytes(1, encode_bytes(1, b"x") + b"".join(encode_bytes(2, v) for v in values))

    one, two = (pb.Feature(float_list={"value": [v]}).SerializeToString() for v in (1.0, 2.0))
    words = pb.Feature(bytes_list={"value": [b"w"]}).SerializeToString()
    identity = pb.Features()
    identity.entry["id"].bytes_list.value.append(b"a")
    for values in ((one, two), (words, one, two), (one, words, two), (one, b"")):
        content = identity.SerializeToString() + entry(two) + entry(*values)
        expected = pb.Features.FromString(content).entry["x"].float_list.value
        record = decode_video(encode_bytes(1, content))
        assert_array_equal(record.features["x"], np.array(expected, np.float32))


def test_unknown_fields_are_skipped(pb, example):
    unknown = b"\x78\x05" + b"\x7a\x02zz" + b"\x7d\x00\x00\x00\x00" + b"\x79" + bytes(8)
    context = example.context.SerializeToString() + unknown
    assert_is_the_video(decode_video(unknown + encode_bytes(1, context) + unknown))


def test_frames_of_protobuf_are_read(sequence):
    data = sequence.SerializeToString()
    assert detect_level(data) == "frame"
    assert_is_the_frames(decode_frames(data))


def with_frame_list(pb, content):
    """Frame-level record whose list ``rgb`` is the message ``content``."""
    context = pb.Features()
    fill_context(context)
    entry = encode_bytes(1, encode_bytes(1, b"rgb") + encode_bytes(2, content))
    return encode_bytes(1, context.SerializeToString()) + encode_bytes(2, entry)


def test_frames_with_headers_that_differ_are_read(pb):
    width = 16
    frames = codes(3, width)
    plain = encode_bytes(1, encode_bytes(1, encode_bytes(1, frames[0].tobytes())))
    unknown = encode_bytes(1, encode_bytes(1, encode_bytes(1, frames[1].tobytes())) + b"\x78\x05")
    merged = encode_bytes(
        1, encode_bytes(1, b"") + encode_bytes(1, encode_bytes(1, bytes(frames[2])))
    )
    data = with_frame_list(pb, plain + unknown + merged)
    parsed = pb.SequenceExample.FromString(data).feature_lists.entry["rgb"].feature
    assert [one.bytes_list.value[0] for one in parsed] == [frame.tobytes() for frame in frames]
    assert_array_equal(decode_frames(data).features["rgb"], frames)


def test_frames_that_all_end_in_an_unknown_field_are_read(pb):
    frames = codes(3, 4)
    content = b"".join(
        encode_bytes(1, encode_bytes(1, encode_bytes(1, frame.tobytes())) + b"\x78\x05")
        for frame in frames
    )
    assert_array_equal(decode_frames(with_frame_list(pb, content)).features["rgb"], frames)


def test_frames_of_different_width_in_messages_of_one_length_are_refused(pb):
    six = encode_bytes(1, encode_bytes(1, encode_bytes(1, b"abcdef")))
    four = encode_bytes(1, encode_bytes(1, encode_bytes(1, b"abcd")) + b"\x78\x05")
    assert len(six) == len(four)
    with pytest.raises(InputError, match="frame 1, expected 6 bytes, found 4"):
        decode_frames(with_frame_list(pb, six + four))


def test_frames_that_look_like_headers_are_only_bytes(pb):
    inner = encode_bytes(1, encode_bytes(1, encode_bytes(1, b"ab")))
    frames = np.frombuffer(inner * 4, np.uint8).reshape(4, -1)
    message = pb.SequenceExample()
    fill_context(message.context)
    fill_frames(message.feature_lists, "rgb", frames)
    assert_array_equal(decode_frames(message.SerializeToString()).features["rgb"], frames)


def test_list_without_frames_is_kept(sequence):
    fill_frames(sequence.feature_lists, "none", [])
    assert decode_frames(sequence.SerializeToString()).features["none"].shape == (0, 0)


def test_older_name_of_the_id_is_read(pb):
    message = pb.SequenceExample()
    fill_context(message.context, id_name="video_id")
    assert decode_video(message.SerializeToString()).video_id == "abçd"


@pytest.mark.parametrize("present", [True, False])
def test_test_videos_have_no_labels(example, present):
    if present:
        example.context.entry["labels"].int64_list.ClearField("value")
    else:
        del example.context.entry["labels"]
    labels = decode_video(example.SerializeToString()).labels
    assert labels.shape == (0,)
    assert labels.dtype == np.int64


def test_negative_labels_stay_negative(example):
    example.context.entry["labels"].int64_list.value[:] = [-1, 2**62, -(2**63)]
    assert_array_equal(decode_video(example.SerializeToString()).labels, [-1, 2**62, -(2**63)])


def test_features_can_be_chosen(example):
    example.context.entry["broken"].float_list.value.append(float("nan"))
    record = decode_video(example.SerializeToString(), features=["mean_audio", "absent"])
    assert record.features.keys() == {"mean_audio"}


def test_segments_are_read(sequence):
    entry = sequence.context.entry
    entry["segment_start_times"].int64_list.value.extend([5, 40])
    entry["segment_end_times"].int64_list.value.extend([10, 45])
    entry["segment_labels"].int64_list.value.extend([3, 3])
    entry["segment_scores"].float_list.value.extend([0, 1])
    segments = decode_frames(sequence.SerializeToString()).segments
    assert [values.tolist() for values in segments] == [[5, 40], [10, 45], [3, 3], [0, 1]]
    del entry["segment_labels"]
    assert decode_frames(sequence.SerializeToString()).segments.labels.tolist() == []
    entry["segment_scores"].float_list.value.append(1)
    with pytest.raises(InputError, match="segment features differ in length"):
        decode_frames(sequence.SerializeToString())


# What we write, protobuf reads.


def test_written_video_is_what_protobuf_writes(pb, example):
    features = {"mean_rgb": numbers(16), "mean_audio": numbers(4, 1)}
    data = encode_video(VideoRecord("abçd", LABELS, features))
    example.feature_lists.SetInParent()
    assert pb.SequenceExample.FromString(data) == example
    assert data.endswith(b"\x12\x00")
    assert_is_the_video(decode_video(data))


def test_written_frames_are_what_protobuf_writes(pb, sequence):
    features = {"rgb": codes(5, 16), "audio": codes(4, 8, 1)}
    data = encode_frames(FrameRecord("abçd", LABELS, features, None))
    assert pb.SequenceExample.FromString(data) == sequence
    assert_is_the_frames(decode_frames(data))


def test_written_segments_and_empty_lists_read_back(pb):
    segments = Segments(*np.array([[5], [10], [7]]), np.array([0.5], np.float32))
    record = FrameRecord("a", LABELS[:0], {"rgb": np.empty((0, 0), np.uint8)}, segments)
    data = encode_frames(record)
    parsed = pb.SequenceExample.FromString(data)
    assert parsed.context.entry["segment_labels"].int64_list.value == [7]
    assert parsed.context.entry["segment_scores"].float_list.value == [0.5]
    assert len(parsed.feature_lists.entry["rgb"].feature) == 0
    read = decode_frames(data)
    assert read.segments is not None
    assert [values.tolist() for values in read.segments] == [[5], [10], [7], [0.5]]


@pytest.mark.parametrize("width", [1, 122, 123, 124, 127, 128, 1024, 20_000])
def test_frames_of_every_width_of_header_read_back(pb, width):
    frames = codes(3, width)
    data = encode_frames(FrameRecord("a", LABELS, {"rgb": frames}, None))
    parsed = pb.SequenceExample.FromString(data).feature_lists.entry["rgb"].feature
    assert [one.bytes_list.value[0] for one in parsed] == [frame.tobytes() for frame in frames]
    assert_array_equal(decode_frames(data).features["rgb"], frames)


@pytest.mark.parametrize(
    "values", [np.zeros((1, 2)), np.array([]), np.array([1, np.nan]), np.array([np.inf])]
)
def test_features_that_cannot_be_written_are_refused(values):
    with pytest.raises(ValueError, match="feature 'x' must be"):
        encode_video(VideoRecord("a", LABELS, {"x": values}))


@pytest.mark.parametrize(
    "frames", [np.zeros((2, 3)), np.zeros(3, np.uint8), np.zeros((2, 0), np.uint8)]
)
def test_frames_that_cannot_be_written_are_refused(frames):
    with pytest.raises(ValueError, match="'rgb' must be"):
        encode_frames(FrameRecord("a", LABELS, {"rgb": frames}, None))


# What nobody should have written.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value_that_is_not_finite_is_refused(example, value):
    example.context.entry["mean_rgb"].float_list.value[3] = value
    with pytest.raises(InputError, match="shard, record 7: value 3 of feature 'mean_rgb' is not"):
        decode_video(example.SerializeToString(), where="shard, record 7")


def test_feature_without_values_is_refused(example):
    example.context.entry["mean_rgb"].float_list.ClearField("value")
    with pytest.raises(InputError, match="'mean_rgb' has no values"):
        decode_video(example.SerializeToString())


def test_levels_are_told_apart(example, sequence):
    with pytest.raises(InputError, match=r"not a video-level record, found .*'audio', 'rgb'"):
        decode_video(sequence.SerializeToString())
    with pytest.raises(InputError, match="not a frame-level record"):
        decode_frames(example.SerializeToString())


def test_record_without_an_id_is_refused(example):
    del example.context.entry["id"]
    with pytest.raises(InputError, match="no video id, expected a feature id or video_id"):
        decode_video(example.SerializeToString())


@pytest.mark.parametrize("values", [[], [b""], [b"a", b"b"], [b"\xff"]])
def test_id_that_is_not_one_text_is_refused(example, values):
    example.context.entry["id"].bytes_list.value[:] = values
    with pytest.raises(InputError, match="feature 'id' is no"):
        decode_video(example.SerializeToString())


def test_features_of_the_wrong_kind_are_refused(example, sequence):
    example.context.entry["labels"].float_list.value.append(1)
    with pytest.raises(
        InputError, match="'labels' has the wrong kind, expected integers, found fl"
    ):
        decode_video(example.SerializeToString())
    sequence.feature_lists.entry["rgb"].feature[0].float_list.value.append(1)
    with pytest.raises(InputError, match="'rgb' has the wrong kind, expected bytes, found floats"):
        decode_frames(sequence.SerializeToString(), features=["rgb"])


@pytest.mark.parametrize("number", [0, 2, 4])
def test_frames_of_different_width_are_refused(sequence, number):
    sequence.feature_lists.entry["rgb"].feature[number].bytes_list.value[0] = b"abc"
    with pytest.raises(InputError, match="frames of 'rgb' differ in width, frame"):
        decode_frames(sequence.SerializeToString(), where="x")


@pytest.mark.parametrize("values", [[], [b""], [b"a" * 16, b"b" * 16]])
@pytest.mark.parametrize("number", [0, 3])
def test_frame_that_is_not_one_value_is_refused(sequence, values, number):
    sequence.feature_lists.entry["rgb"].feature[number].bytes_list.value[:] = values
    with pytest.raises(InputError, match=f"frame {number} of 'rgb' is no frame"):
        decode_frames(sequence.SerializeToString())


@pytest.mark.parametrize(
    "data", [b"\x00", b"\x08\x01", b"\x0a\x02\x08\x01", b"video_id,labels", b"\x0a"]
)
def test_bytes_that_are_no_record_are_refused(data):
    for decode in (decode_video, decode_frames):
        with pytest.raises(InputError, match=r"^shard, record 3: "):
            decode(data, where="shard, record 3")


# Real records.


def test_every_real_video_is_what_protobuf_reads(pb, shared_data):
    path = shared_data / "yt8m_video" / "validate0000.tfrecord"
    for _, data, _ in read_records(str(path)):
        record = decode_video(data)
        entry = pb.SequenceExample.FromString(data).context.entry
        assert record.video_id.encode() == entry["id"].bytes_list.value[0]
        assert record.labels.tolist() == entry["labels"].int64_list.value
        for name, width in (("mean_rgb", 1024), ("mean_audio", 128)):
            assert record.features[name].shape == (width,)
            assert_array_equal(record.features[name], np.array(entry[name].float_list.value, "f4"))


def test_real_frames_are_what_protobuf_reads(pb, shared_data):
    path = shared_data / "audioset_frames" / "eval" / "eval00.tfrecord"
    for _, data, _ in read_records(str(path)):
        record = decode_frames(data)
        parsed = pb.SequenceExample.FromString(data)
        feature = parsed.feature_lists.entry["audio_embedding"].feature
        expected = b"".join(one.bytes_list.value[0] for one in feature)
        assert record.features["audio_embedding"].tobytes() == expected
        assert record.features["audio_embedding"].shape == (len(feature), 128)
        assert record.video_id.encode() == parsed.context.entry["video_id"].bytes_list.value[0]
        assert record.labels.tolist() == parsed.context.entry["labels"].int64_list.value
