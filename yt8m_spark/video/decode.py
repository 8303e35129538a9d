"""Frames of a video file at one a second, decoded by FFmpeg by way of PyAV (paper §3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from fractions import Fraction
from typing import IO, Any, NamedTuple

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from yt8m_spark.video.instants import Instants, with_need
from yt8m_spark.video.sources import VideoSource

__all__ = ["BrokenVideoError", "Sampling", "reason_of", "sample_frames"]

# What FFmpeg takes for a video though it is none: text as a picture of text, and lists of files.
_NO_VIDEOS = frozenset({"tty", "bin", "xbin", "adf", "idf", "concat", "hls", "dash", "imf"})
# A video is cut short if this much less than its header says can be decoded, seconds.
_SECONDS_MISSING = 1.0


class BrokenVideoError(Exception):
    """A video that cannot be decoded, or not to its end: why, in one line."""


class Sampling(NamedTuple):
    """Which frames of a video are taken: one at 0, 1/f, 2/f, ... seconds before the end."""

    frames_per_second: float = 1.0  # f (§3.3)
    max_seconds: float = 360.0  # "up to the first 360 seconds" (§3.3)

    @property
    def n_most(self) -> int:
        """Frames of a video that lasts ``max_seconds`` or longer."""
        seconds, rate = (Fraction(x).limit_denominator(1_000_000) for x in self[::-1])
        return -int(-seconds * rate // 1)


def sample_frames(source: str | IO[bytes], sampling: Sampling) -> Iterator[VideoFrame]:
    """Frames of the instants 0, 1/f, 2/f, ... of a video, in order, as they are decoded.

    The frame of an instant is the last one whose time is at or before it; time 0 is that of the
    first frame, and the video ends when its last frame has been shown. A frame that stands for
    several instants comes as often. The first video stream counts; cover art is none.

    Parameters
    ----------
    source : str or file open for reading bytes
        Path of a local file, or a file that can seek.
    sampling : Sampling

    Raises
    ------
    BrokenVideoError
        If the file is no video, has no video stream or no frame, is damaged, or is cut short: ends
        more than a second before its header says. Frames before the damage have come by then.
        Or if there is no file at the path.
    OSError
        If storage fails: that says nothing about the video. So does what else ``source`` raises.

    Notes
    -----
    Frames that stand for no instant are decoded only where others are predicted from them: H.264
    frames that are not, and all of codecs without prediction, are passed over. What is taken is
    the same to the bit. What FFmpeg's decoders mend unseen passes; a frame marked corrupt does not.
    """
    with _opened(source) as container:
        try:
            stream = _video_stream(container)
            yield from _sampled(container, stream, sampling)
        except FFmpegError as error:
            raise BrokenVideoError(f"damaged ({reason_of(error)})") from error


@contextmanager
def _opened(source: str | IO[bytes]) -> Iterator[InputContainer]:
    """Container of a file; no address that it names is opened."""
    with _file_at(source) if isinstance(source, str) else nullcontext(source) as file:
        read = VideoSource(file)
        alone = {"protocol_whitelist": "file"}
        try:
            container = av.open(read, "r", container_options=alone, metadata_errors="replace")
        except FFmpegError as error:
            raise BrokenVideoError(f"not a video ({reason_of(error)})") from error
        with container:
            yield container


def _file_at(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    # ValueError: a name with a zero byte.
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError) as error:
        raise BrokenVideoError(f"not a video ({reason_of(error)})") from error


def reason_of(error: Exception) -> str:
    """FFmpeg's words without numbers and paths."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())


def _video_stream(container: InputContainer) -> VideoStream:
    names = set(container.format.name.split(","))
    if names & _NO_VIDEOS:
        raise BrokenVideoError(f"not a video (format {container.format.name})")
    for stream in container.streams.video:
        if Disposition.attached_pic not in stream.disposition:
            if stream.codec_context is None:
                raise BrokenVideoError("not a video (its codec is unknown)")
            stream.codec_context.thread_count = 1  # a task has one core
            return stream
    raise BrokenVideoError("no video stream")


def _sampled(
    container: InputContainer, stream: VideoStream, sampling: Sampling
) -> Iterator[VideoFrame]:
    clock = _Clock(container, stream)
    instants: Instants | None = None
    before: VideoFrame | None = None
    done, end = 0, 0
    for frame in _decoded(container, stream, clock, sampling.frames_per_second):
        if frame.is_corrupt:
            raise BrokenVideoError(f"damaged (a corrupt frame after {clock.seconds(end):.1f} s)")
        start, end = clock.times(frame)
        if instants is None:
            instants = Instants(clock.time_base, start, sampling.frames_per_second)
        if before is not None:
            until = min(instants.first_at(start), sampling.n_most)
            yield from [before] * (until - done)
            done = max(done, until)
        before = frame
        if done == sampling.n_most:
            return
    if before is None or instants is None:
        raise BrokenVideoError("no frame")
    until = instants.first_at(end)
    yield from [before] * (min(until, sampling.n_most) - done)
    if until < sampling.n_most:
        clock.check_whole(end)


def _decoded(
    container: InputContainer, stream: VideoStream, clock: _Clock, frames_per_second: float
) -> Iterator[VideoFrame]:
    """Frames of a stream in order of time, less some that stand for no instant."""
    codec = stream.codec_context
    # Only FFmpeg's own decoder of H.264 heeds `skip_frame` packet by packet.
    can_skip = clock.has_times and codec.codec.name == "h264"
    can_drop = clock.has_times and codec.codec.intra_only
    # Not by stream_index: it is 0 in the packets that have decoders give their last frames.
    packets = (p for p in clock.watched(_demuxed(container)) if p.stream.index == stream.index)
    for packet, needed in with_need(packets, clock.time_base, frames_per_second):
        if can_drop and not needed:
            continue
        if can_skip:
            codec.skip_frame = "DEFAULT" if needed else "NONREF"
        yield from packet.decode()


def _demuxed(container: InputContainer) -> Iterator[Packet[Any]]:
    """Packets of all streams, at the end an empty one for each that there was at the start."""
    # PyAV raises this after them, if a damaged file has got more streams on the way.
    with suppress(IndexError):
        yield from container.demux()


class _Clock:
    """Times of a stream's frames in ticks, made up from the frame rate where there are none."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._stream = stream
        self._told: int | None = container.duration  # of all streams, microseconds
        self._last = 0.0  # end of the last packet of any stream, seconds
        # AVI has the order of decoding alone, at an even rate.
        self.has_times = container.format.name != "avi"
        self.time_base = stream.time_base or Fraction(1, 90_000)
        self._first: int | None = None
        self._next = stream.start_time or 0

    def watched(self, packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
        """``packets`` of all streams as they are, noting when they end."""
        for packet in packets:
            if packet.pts is not None and packet.time_base is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                self._last = max(self._last, end)
            yield packet

    def times(self, frame: VideoFrame) -> tuple[int, int]:
        """When a frame begins and ends to be shown."""
        start = frame.pts if self.has_times and frame.pts is not None else self._next
        if self._first is None:
            self._first = start
        self._next = start + (frame.duration or self._ticks_a_frame())
        return start, self._next

    def seconds(self, ticks: int) -> float:
        """Seconds from the first frame to ``ticks``."""
        return 0.0 if self._first is None else float((ticks - self._first) * self.time_base)

    def check_whole(self, end: int) -> None:
        """Refuse a stream that ends long before its header says.

        Where only the whole file has a length, the last packet of any stream must come near it.
        """
        if self._stream.duration is not None:
            found, told = self.seconds(end), float(self._stream.duration * self.time_base)
        elif self._told is not None:
            found, told = self._last, self._told / av.time_base
        else:
            return
        if found < told - _SECONDS_MISSING - float(self._ticks_a_frame() * self.time_base):
            raise BrokenVideoError(f"cut short (ends at {found:.1f} s of {told:.1f} s)")

    def _ticks_a_frame(self) -> int:
        rate = self._stream.average_rate or self._stream.guessed_rate
        return max(1, round(1 / (rate * self.time_base))) if rate else 1
