"""Batches filled from several videos, on generated videos. Decoding is tested in test_decode."""

import errno
import io
import os
from typing import NamedTuple

import numpy as np
import pytest
from made_videos import colour_weights, level, write_onnx, write_seconds, write_video

from yt8m_spark.errors import InputError
from yt8m_spark.video import decode
from yt8m_spark.video.decode import Sampling
from yt8m_spark.video.extraction import Extractor, VideoFile
from yt8m_spark.video.images import PRESETS
from yt8m_spark.video.networks import InputForm, load_network

WEIGHTS = colour_weights()
HOW = PRESETS["none"]._replace(size=8)


class Failing(NamedTuple):
    form: InputForm

    def activations(self, images):
        raise InputError("images are too large")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Videos of 1 to 4 seconds, one of them broken, and a network."""
    folder = tmp_path_factory.mktemp("videos")
    for n_seconds in (1, 2, 3, 4):
        write_seconds(folder / f"{n_seconds}.mp4", n_seconds)
    (folder / "broken.mp4").write_bytes(b"no video")
    write_onnx(folder / "a.onnx", WEIGHTS)
    write_onnx(folder / "three.onnx", WEIGHTS, batch=3)
    return folder


def extractor(folder, batch_size, network="a.onnx"):
    loaded = load_network(str(folder / network), None, None, 1)
    return Extractor(loaded, HOW, Sampling(), batch_size)


def videos(folder, *names):
    return [VideoFile(name, str(folder / f"{name}.mp4"), []) for name in names]


def expected(n_seconds):
    """Activations (F, 4) of seconds of one grey each: the mean over space of a 1x1 convolution."""
    greys = np.array([level(10 * second) for second in range(n_seconds)])
    return greys[:, None] * WEIGHTS.sum(1)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 32])
def test_each_video_gets_its_own_frames_however_batches_are_filled(folder, batch_size):
    names = ("2", "broken", "1", "4", "3")
    found = list(extractor(folder, batch_size).extract(videos(folder, *names), str))
    assert [e.video.video_id for e in found] == list(names)
    for extracted in found:
        if extracted.video.video_id == "broken":
            assert extracted.reason.startswith("not a video")
            assert len(extracted.activations) == 0
        else:
            assert extracted.reason is None
            wanted = expected(int(extracted.video.video_id))
            # A grey goes through YUV: it may come out three levels away.
            atol = 3 * WEIGHTS.sum(1).max()
            np.testing.assert_allclose(extracted.activations, wanted, atol=atol)


@pytest.mark.parametrize("network", ["a.onnx", "three.onnx"])
def test_features_do_not_depend_on_the_videos_before_to_the_bit(folder, network):
    among = extractor(folder, 3, network).extract(videos(folder, "1", "2", "4"), str)
    alone = extractor(folder, 3, network).extract(videos(folder, "4"), str)
    np.testing.assert_array_equal(list(among)[-1].activations, next(alone).activations)


def test_a_video_is_given_before_the_next_batch_is_decoded(folder):
    opened = []

    def opener(path):
        opened.append(path)
        return path

    stream = extractor(folder, 2).extract(videos(folder, "2", "1", "3"), opener)
    assert next(stream).video.video_id == "2"
    assert len(opened) == 1


def test_a_damaged_video_keeps_the_frames_before_the_damage(folder, tmp_path):
    rng = np.random.default_rng(0)
    path = write_video(tmp_path / "a.mkv", rng.integers(0, 255, 60))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (found,) = extractor(folder, 4).extract([VideoFile("a", str(path), [])], str)
    assert found.reason.startswith("cut short")
    assert 1 <= len(found.activations) < 6


def test_frames_of_another_size_break_their_video_if_they_may_not_be_resized(folder):
    how = HOW._replace(resize="none")
    network = load_network(str(folder / "a.onnx"), None, None, 1)
    (found,) = Extractor(network, how, Sampling(), 2).extract(videos(folder, "1"), str)
    assert found.reason == "frames are 64 x 48, not 8 x 8"


def test_an_extraction_that_failed_leaves_nothing_for_the_next(folder):
    work = extractor(folder, 4)
    network = work._network
    work._network = Failing(network.form)
    with pytest.raises(InputError, match="too large"):
        list(work.extract(videos(folder, "2", "3"), str))
    work._network = network
    again = next(work.extract(videos(folder, "1"), str))
    alone = next(extractor(folder, 4).extract(videos(folder, "1"), str))
    np.testing.assert_array_equal(again.activations, alone.activations)


class Outage(io.BytesIO):
    """A file that storage gives the first half of."""

    def read(self, n_bytes=-1):
        if self.tell() + n_bytes > len(self.getvalue()) // 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(n_bytes)


def test_storage_that_fails_ends_the_extraction_and_is_no_fault_of_the_video(folder, monkeypatch):
    path = write_video(
        folder / "long.mkv", np.random.default_rng(0).integers(0, 255, 300), size=(320, 240)
    )
    video = [VideoFile("long", str(path), [])]
    with pytest.raises(InputError, match=f"cannot be read .Input/output error. in {path}"):
        list(extractor(folder, 2).extract(video, lambda _path: Outage(path.read_bytes())))

    def denied(path, _mode):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(decode, "open", denied, raising=False)
    with pytest.raises(InputError, match=f"cannot be read .Permission denied. in {path}"):
        list(extractor(folder, 2).extract(video, str))


def test_a_file_that_is_missing_is_a_fault_of_its_video(folder):
    for path in (folder / "none.mp4", folder, folder / "1.mp4" / "a.mp4", "a\0.mp4"):
        (found,) = extractor(folder, 2).extract([VideoFile("a", str(path), [])], str)
        assert found.reason.startswith("not a video")


def test_files_that_were_opened_are_closed(folder):
    opened = []

    def opener(path):
        opened.append(open(path, "rb"))  # noqa: SIM115 - closed by what is tested
        return opened[-1]

    found = list(extractor(folder, 2).extract(videos(folder, "1", "broken", "2"), opener))
    assert [extracted.reason is None for extracted in found] == [True, False, True]
    assert all(file.closed for file in opened)


def test_time_is_told(folder):
    work = extractor(folder, 2)
    list(work.extract(videos(folder, "4"), str))
    assert work.seconds.decoding > 0
    assert work.seconds.network > 0
    assert work.width() == 4
