"""Frames of generated videos. Which frames stand for an instant is tested in test_instants, too."""

from fractions import Fraction

import av
import numpy as np
import pytest
from made_videos import FPS, level, write_seconds, write_video

from yt8m_spark.video import decode
from yt8m_spark.video.decode import BrokenVideoError, Sampling, sample_frames


def greys(source, sampling=Sampling()):  # noqa: B008 - a tuple
    """Mean of each frame that is sampled."""
    return [frame_grey(frame) for frame in sample_frames(source, sampling)]


def frame_grey(frame):
    return frame.reformat(format="rgb24").to_ndarray().mean()


def note_times(source, times):
    """Append the time of each frame to ``times``: those before an error stay."""
    for frame in sample_frames(source, Sampling()):
        times.append(frame.pts)


def write_moving(path, n_frames=60, options=None):
    """A video with a moving, noisy picture and B-frames of which no other frame is predicted."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 100, (48, 64, 3))
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(
            "libx264", rate=FPS, options={"x264-params": "b-adapt=0:b-pyramid=none:threads=1"}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.max_b_frames = 3
        for index in range(n_frames):
            pixels = np.roll(picture, 3 * index, 1) + level(index) // 2 + rng.integers(0, 9)
            frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def brute_force(path, rate):
    """All frames are decoded; each instant takes the last one at or before it."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    tick, first, last = frames[0].time_base, frames[0].pts, frames[-1]
    n_instants = -int(-((last.pts + last.duration - first) * tick * Fraction(rate)) // 1)
    instants = [first + Fraction(k) / Fraction(rate) / tick for k in range(n_instants)]
    return [[f for f in frames if f.pts <= instant][-1] for instant in instants]


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx264", "mp4"), ("libx264", "mkv"), ("libvpx-vp9", "webm"), ("mjpeg", "avi")],
)
def test_each_second_gives_its_frame(tmp_path, codec, suffix):
    path = write_seconds(tmp_path / f"video.{suffix}", 4, codec=codec)
    np.testing.assert_allclose(greys(str(path)), [20, 56, 92, 128], atol=3)


@pytest.mark.parametrize("rate", [1, 2.5, 0.5])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_passing_over_frames_changes_no_bit_of_those_that_are_taken(tmp_path, suffix, rate):
    path = write_moving(tmp_path / f"video.{suffix}")
    found = list(sample_frames(str(path), Sampling(rate)))
    wanted = brute_force(path, rate)
    assert [f.pts for f in found] == [f.pts for f in wanted]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a.to_ndarray(), b.to_ndarray())


def test_frames_that_nothing_depends_on_are_not_decoded(tmp_path, monkeypatch):
    path = write_moving(tmp_path / "video.mp4")
    decoded, every = [], decode._decoded

    def noted(*arguments):
        for frame in every(*arguments):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(decode, "_decoded", noted)
    assert len(greys(str(path))) == 6
    assert len(decoded) < 30  # of 60; three of four frames in a row are B-frames


def test_b_frames_of_avi_which_has_no_times_come_at_an_even_rate(tmp_path):
    path = write_moving(tmp_path / "video.avi")
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    found = [frame.to_ndarray() for frame in sample_frames(str(path), Sampling())]
    np.testing.assert_array_equal(found, [frame.to_ndarray() for frame in frames[::FPS]])


def test_uneven_times_are_heeded(tmp_path):
    path = write_video(tmp_path / "a.mp4", [20, 56, 92, 128], times=[0, 900, 1000, 3500])
    np.testing.assert_allclose(greys(str(path)), [20, 92, 92, 92], atol=3)
    np.testing.assert_allclose(greys(str(path), Sampling(2, 2)), [20, 20, 92, 92], atol=3)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_time_counts_from_the_first_frame(tmp_path, suffix):
    times = [5000 + 100 * i for i in range(30)]
    path = write_seconds(tmp_path / f"a.{suffix}", 3, times=times)
    np.testing.assert_allclose(greys(str(path)), [20, 56, 92], atol=3)


def test_at_most_so_many_seconds_are_taken(tmp_path):
    path = write_seconds(tmp_path / "a.mp4", 6)
    assert len(greys(str(path), Sampling(max_seconds=2))) == 2
    assert len(greys(str(path), Sampling(max_seconds=2.1))) == 3  # the instant 2 is before 2.1
    assert len(greys(str(path), Sampling(2, 2))) == 4


def test_a_single_frame_is_a_video_of_one(tmp_path):
    np.testing.assert_allclose(greys(str(write_video(tmp_path / "a.mp4", [92]))), [92], atol=3)


def test_names_are_paths_and_never_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "ä ? %03d"
    folder.mkdir()
    path = write_seconds(folder / "concat:a|b.mp4", 1)
    assert len(greys(f"{folder}/../{folder.name}/{path.name}")) == 1
    with path.open("rb") as file:
        assert len(greys(file)) == 1
    with pytest.raises(BrokenVideoError, match="not a video"):
        greys("http://127.0.0.1:9/a.mp4")


def test_what_is_no_video_is_refused(tmp_path):
    for name, data in (("a.mp4", b"no video " * 99), ("b.mp4", b""), ("c.txt", b"text\n" * 99)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BrokenVideoError, match="not a video"):
            greys(str(tmp_path / name))
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile a.mp4\n")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n")
    for name in ("missing.mp4", "list.ffconcat", "list.m3u8"):
        with pytest.raises(BrokenVideoError):
            greys(str(tmp_path / name))


def test_no_frame_is_lost_where_sound_is_the_first_stream(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16_000)
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.max_b_frames = 3  # the decoder holds frames back until the end
        for index in range(30):
            pixels = np.full((48, 64, 3), 8 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 1600), np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate, silence.pts = 16_000, 1600 * index
            container.mux(sound.encode(silence))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    np.testing.assert_allclose(greys(str(path), Sampling(FPS)), 8 * np.arange(30), atol=3)


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000)
        silence = np.zeros((1, 4096), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(BrokenVideoError, match="no video stream"):
        greys(str(path))


@pytest.mark.parametrize(
    ("suffix", "options", "reason"),
    [
        ("mp4", {"movflags": "faststart"}, "damaged"),
        ("mkv", {}, r"cut short \(ends at 3"),
        ("flv", {}, "damaged|cut short"),
    ],
)
def test_of_a_video_cut_short_the_frames_before_the_end_come(tmp_path, suffix, options, reason):
    path = write_moving(tmp_path / f"video.{suffix}", options=options)
    whole = path.read_bytes()
    wanted = [frame.pts for frame in sample_frames(str(path), Sampling())]
    path.write_bytes(whole[: len(whole) * 6 // 10])
    found = []
    with pytest.raises(BrokenVideoError, match=reason):
        note_times(str(path), found)
    assert 2 <= len(found) < 6
    assert found == wanted[: len(found)]
