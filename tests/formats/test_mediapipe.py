"""MediaPipe's records against protobuf, TensorFlow and by hand. Spark reads them elsewhere."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_array_equal

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import (
    FrameRecord,
    VideoRecord,
    decode_frames,
    encode_frames,
    encode_video,
)
from yt8m_spark.formats.features import encode_entry, floats_feature
from yt8m_spark.formats.mediapipe import decode_mediapipe, is_mediapipe
from yt8m_spark.formats.tfrecord import read_records
from yt8m_spark.formats.wire import encode_bytes

PARSER = Path(__file__).parents[1] / "tensorflow_parser.py"
FUZZ = settings(
    max_examples=200,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def released_code(values):
    """quantize() of google/youtube-8m's extract_tfrecords_main.py, one number at a time."""
    scaled = (np.clip(np.asarray(values, np.float32), -2.0, 2.0) - -2.0) * (255.0 / 4.0)
    assert scaled.dtype == np.float32
    return np.array([round(f) for f in scaled.ravel()], np.uint8).reshape(scaled.shape)


def make_frames(n_frames, width, seed=0):
    """Whitened features, some out of the range of the code."""
    return np.random.default_rng(seed).normal(0, 1.3, (n_frames, width)).astype(np.float32)


def fill_list(message, name, frames):
    lists = message.feature_lists.entry[name]
    for frame in frames:
        lists.feature.add().float_list.value.extend(frame.tolist())
    lists.SetInParent()


def fill_timestamps(message, name, n_frames):
    for second in range(n_frames):
        lists = message.feature_lists.entry[name]
        lists.feature.add().int64_list.value.append(second * 1_000_000)


@pytest.fixture
def clip(pb):
    """What the pipeline of examples/desktop/youtube8m writes for a video, and labels."""
    message = pb.SequenceExample()
    context = message.context.entry
    context["clip/data_path"].bytes_list.value.append("/vidéos/abç.d.mp4".encode())
    context["clip/start/timestamp"].int64_list.value.append(0)
    context["clip/end/timestamp"].int64_list.value.append(120_000_000)
    context["clip/label/index"].int64_list.value.extend([300, 7])
    context["RGB/feature/rate"].float_list.value.append(1.0)
    context["RGB/feature/dimensions"].int64_list.value.append(16)
    fill_list(message, "RGB/feature/floats", make_frames(5, 16))
    fill_timestamps(message, "RGB/feature/timestamp", 5)
    fill_list(message, "AUDIO/feature/floats", make_frames(4, 3, seed=1))
    fill_timestamps(message, "AUDIO/feature/timestamp", 4)
    return message


def assert_is_the_clip(record):
    assert record.video_id == "abç.d"
    assert_array_equal(record.labels, [300, 7])
    assert record.features.keys() == {"rgb", "audio"}
    assert_array_equal(record.features["rgb"], released_code(make_frames(5, 16)))
    assert_array_equal(record.features["audio"], released_code(make_frames(4, 3, seed=1)))
    assert all(codes.dtype == np.uint8 for codes in record.features.values())
    assert record.segments is None
    assert record.n_frames == 5


# What others write


def test_record_of_protobuf_is_read(clip):
    data = clip.SerializeToString()
    assert is_mediapipe(data)
    assert_is_the_clip(decode_mediapipe(data))


def test_unpacked_floats_are_read(pb_unpacked, clip):
    data = pb_unpacked.SequenceExample.FromString(clip.SerializeToString()).SerializeToString()
    assert len(data) > len(clip.SerializeToString())
    assert_is_the_clip(decode_mediapipe(data))


def test_record_of_tensorflow_is_read(tmp_path):
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    path = str(tmp_path / "x.tfrecord")
    context = {"clip/data_path": ["/vidéos/abç.d.mp4"], "clip/label/index": [300, 7]}
    lists = {
        "RGB/feature/floats": make_frames(5, 16).tolist(),
        "AUDIO/feature/floats": make_frames(4, 3, seed=1).tolist(),
        "RGB/feature/timestamp": [[second * 1_000_000] for second in range(5)],
    }
    task = {
        "task": "write_sequences",
        "path": path,
        "records": [{"context": context, "lists": lists}],
    }
    finished = subprocess.run(
        [sys.executable, PARSER, json.dumps(task)], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    (record,) = read_records(path)
    assert is_mediapipe(record.data)
    assert_is_the_clip(decode_mediapipe(record.data))


def test_the_code_is_the_releases_by_hand(clip):
    values = [-9, -2, -1.998, 0, 2, 9]  # -1.998 is 0.1275 levels above -2; 0 is level 127.5
    fill_list(clip, "X/feature/floats", np.array([values]))
    codes = decode_mediapipe(clip.SerializeToString()).features["x"]
    assert codes.tolist() == [[0, 0, 0, 128, 255, 255]]


def test_values_halfway_between_levels_get_the_releases_codes_to_the_bit(clip):
    halves = np.float32((np.arange(255) + 0.5) * 4 / 255 - 2)[None]
    fill_list(clip, "X/feature/floats", halves)
    codes = decode_mediapipe(clip.SerializeToString()).features["x"]
    assert_array_equal(codes, released_code(halves))


def test_ids_are_taken_in_order(clip):
    context = clip.context.entry
    context["example/id"].bytes_list.value.append(b"example")
    assert decode_mediapipe(clip.SerializeToString()).video_id == "abç.d"
    context["clip/media_id"].bytes_list.value.append(b"media.mp4")
    assert decode_mediapipe(clip.SerializeToString()).video_id == "media.mp4"
    del context["clip/media_id"], context["clip/data_path"]
    assert decode_mediapipe(clip.SerializeToString()).video_id == "example"
    context["clip/media_id"].bytes_list.value.append(b"")
    assert decode_mediapipe(clip.SerializeToString()).video_id == "example"


def test_clip_without_labels_has_none(clip):
    del clip.context.entry["clip/label/index"]
    assert decode_mediapipe(clip.SerializeToString()).labels.size == 0


def test_list_without_frames_is_kept(clip):
    fill_list(clip, "X/feature/floats", [])
    record = decode_mediapipe(clip.SerializeToString())
    assert record.features["x"].shape == (0, 0)
    assert record.n_frames == 5


def test_a_record_can_be_written_again_as_a_released_one(clip):
    record = decode_mediapipe(clip.SerializeToString())
    again = decode_frames(encode_frames(record))
    assert again.video_id == record.video_id
    for name, codes in record.features.items():
        assert_array_equal(again.features[name], codes)


@pytest.mark.parametrize(
    "data",
    [
        encode_frames(FrameRecord("a", np.array([1]), {"rgb": np.ones((2, 3), np.uint8)}, None)),
        encode_video(VideoRecord("a", np.array([1]), {"x/feature/floats": np.ones(3, np.float32)})),
        b"",
        b"\xff\xff",
    ],
)
def test_other_records_are_not_taken_for_mediapipes(data):
    assert not is_mediapipe(data)
    with pytest.raises(InputError, match=r"^shard, record 3: "):
        decode_mediapipe(data, where="shard, record 3")


# What cannot be used


def one_list(pb, frames):
    """A record whose only list holds ``frames``, Feature messages."""
    message = pb.SequenceExample()
    message.context.entry["clip/media_id"].bytes_list.value.append(b"a")
    message.feature_lists.entry["RGB/feature/floats"].feature.extend(frames)
    return message


def test_frames_that_are_none_are_refused(pb):
    two, three = (pb.Feature(float_list={"value": [1.0] * n}) for n in (2, 3))
    words = pb.Feature(bytes_list={"value": [b"ab"]})
    for frames, message in (
        ([two, three], r"differ in width, frame 1, expected 2 floats, found 3$"),
        ([two, pb.Feature()], r"frame 1, expected 2 floats, found 0$"),
        ([pb.Feature()], r"frame 0, expected some floats, found 0$"),
        ([pb.Feature(float_list={"value": []})], r"frame 0, expected some floats, found 0$"),
        ([words], r"'rgb' has the wrong kind, expected floats, found bytes$"),
        ([two, words], r"wrong kind, expected floats, found bytes$"),
    ):
        data = one_list(pb, frames).SerializeToString()
        with pytest.raises(InputError, match=rf"^shard, record 3: .*{message}"):
            decode_mediapipe(data, where="shard, record 3")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value_that_has_no_code_is_refused(pb, value):
    frames = make_frames(3, 4)
    frames[1, 2] = value
    message = one_list(pb, [])
    fill_list(message, "RGB/feature/floats", frames)
    with pytest.raises(
        InputError, match=rf"feature 2 of 'rgb', frame 1, is not finite, .* found {value}"
    ):
        decode_mediapipe(message.SerializeToString())


def test_record_without_id_is_refused(clip):
    del clip.context.entry["clip/data_path"]
    with pytest.raises(InputError, match=r"no video id, expected a feature clip/media_id"):
        decode_mediapipe(clip.SerializeToString())
    clip.context.entry["clip/media_id"].int64_list.value.append(3)
    with pytest.raises(InputError, match="'clip/media_id' has the wrong kind, expected bytes"):
        decode_mediapipe(clip.SerializeToString())


def test_several_ids_are_refused(clip):
    clip.context.entry["clip/media_id"].bytes_list.value.extend([b"a", b"b"])
    with pytest.raises(InputError, match="'clip/media_id' is no video id, expected one string"):
        decode_mediapipe(clip.SerializeToString())


def test_two_lists_of_one_name_are_refused(clip):
    fill_list(clip, "rgb/feature/floats", make_frames(1, 16))
    with pytest.raises(InputError, match=r"two feature lists of one name, found .*RGB.*, rgb/fea"):
        decode_mediapipe(clip.SerializeToString())


# Properties


@FUZZ
@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
        elements=st.floats(-3, 3, width=32),
    ),
    st.text(min_size=1, max_size=20),
    st.lists(st.integers(0, 2**31 - 1), max_size=5),
    st.booleans(),
)
def test_any_record_is_read_as_it_was_written(pb, pb_unpacked, frames, video_id, labels, packed):
    message = (pb if packed else pb_unpacked).SequenceExample()
    message.context.entry["clip/media_id"].bytes_list.value.append(video_id.encode())
    message.context.entry["clip/label/index"].int64_list.value.extend(labels)
    fill_list(message, "AUDIO/feature/floats", frames)
    record = decode_mediapipe(message.SerializeToString())
    assert record.video_id == video_id
    assert record.labels.tolist() == labels
    assert_array_equal(record.features["audio"], released_code(frames))


def test_fields_that_are_unknown_between_frames_change_nothing(pb):
    frames = make_frames(4, 3)
    messages = [encode_bytes(1, floats_feature(frame)) for frame in frames]
    context = one_list(pb, []).SerializeToString()
    for gap in (b"", b"\x78\x05", b"\x7a\x02zz"):
        lists = encode_bytes(2, encode_entry("RGB/feature/floats", gap.join(messages) + gap))
        codes = decode_mediapipe(context + lists).features["rgb"]
        assert_array_equal(codes, released_code(frames))


# Damage

N_FUZZ = int(os.environ.get("YT8M_FUZZ_EXAMPLES", "2000"))


def damaged(rng, data):
    """``data`` with a few bytes changed, dropped or doubled, or cut."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at, kind = int(rng.integers(len(changed) + 1)), rng.integers(4)
        if kind == 0:
            changed[at : at + 1] = bytes([rng.integers(256)])
        elif kind == 1:
            del changed[at : at + int(rng.integers(1, 4))]
        elif kind == 2:
            changed[at:at] = changed[at : at + int(rng.integers(1, 9))]
        elif rng.random() < 0.2:
            del changed[at:]
    return bytes(changed)


def test_fuzz_damaged_record_is_refused_or_is_what_protobuf_reads(pb, clip):
    data = clip.SerializeToString()
    rng = np.random.default_rng(0)
    n_compared = 0
    for _ in range(N_FUZZ):
        bad = damaged(rng, data)
        is_mediapipe(bad)
        try:
            record = decode_mediapipe(bad, where="shard, record 1")
            lists = pb.SequenceExample.FromString(bad).feature_lists.entry
        except InputError as error:
            assert str(error).startswith("shard, record 1: ")  # noqa: PT017 - or it is read
            assert "\n" not in str(error)  # noqa: PT017
            continue
        except DecodeError:  # each may refuse what the other reads, as padded varints
            continue
        for key, frames in lists.items():  # less those that protobuf's Python package drops
            if key.endswith("/feature/floats"):
                values = [list(one.float_list.value) for one in frames.feature]
                codes = record.features[key.removesuffix("/feature/floats").lower()]
                assert_array_equal(codes, released_code(values).reshape(codes.shape))
                n_compared += 1
    assert n_compared > N_FUZZ // 10
