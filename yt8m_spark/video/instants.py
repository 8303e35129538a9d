"""Which frames of a video stand for the instants 0, 1/f, 2/f, ... seconds (paper §3.3).

The frame of an instant is the last one whose time is at or before it, so a frame of time p that is
followed by one of time q stands for all instants in [p, q). Times are whole ticks of the stream and
instants are reckoned in whole numbers: nothing depends on rounding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Protocol, TypeVar

__all__ = ["Instants", "Timed", "with_need"]

# A frame is shown at most 16 places behind where the stream has it, in H.264 and after.
_LOOKAHEAD = 32


class Timed(Protocol):
    """What has a time in ticks: a packet or a frame."""

    @property
    def pts(self) -> int | None:
        """Presentation time, ticks; None if the file has none."""


Packet = TypeVar("Packet", bound=Timed)


class Instants:
    """Instants of a stream, counted from the time ``start`` of its first frame.

    Parameters
    ----------
    time_base : Fraction
        Seconds a tick.
    start : int
        Ticks.
    frames_per_second : float
        Instants a second, f; the paper takes 1.
    """

    def __init__(self, time_base: Fraction, start: int, frames_per_second: float) -> None:
        ratio = time_base * Fraction(frames_per_second).limit_denominator(1_000_000)
        self._start = start
        self._numerator, self._denominator = ratio.numerator, ratio.denominator

    def first_at(self, pts: int) -> int:
        """Number of the first instant at or after ``pts``; 0 for what is before the start."""
        return max(0, -((self._start - pts) * self._numerator // self._denominator))


def with_need(
    packets: Iterable[Packet], time_base: Fraction, frames_per_second: float
) -> Iterator[tuple[Packet, bool]]:
    """Packets as they come, each with whether its frame may stand for an instant.

    A frame stands for none if another one follows it before the next instant. That is told from
    the packets nearby alone, without decoding; where they do not tell, the answer is yes.
    """
    waiting: deque[Packet] = deque()
    latest: dict[int, int] = {}  # instant to the last time before it that was seen
    instants: Instants | None = None
    for packet in packets:
        waiting.append(packet)
        if instants is None:
            if len(waiting) <= _LOOKAHEAD:
                continue
            instants = _begin(waiting, latest, time_base, frames_per_second)
        else:
            _note(packet, latest, instants)
        yield _judged(waiting.popleft(), latest, instants)
    if instants is None:
        instants = _begin(waiting, latest, time_base, frames_per_second)
    for packet in waiting:
        yield _judged(packet, latest, instants)


def _begin(
    waiting: Iterable[Packet], latest: dict[int, int], time_base: Fraction, rate: float
) -> Instants:
    """Instants from the first time among the first packets, which are noted."""
    times = [packet.pts for packet in waiting if packet.pts is not None]
    instants = Instants(time_base, min(times, default=0), rate)
    for packet in waiting:
        _note(packet, latest, instants)
    return instants


def _note(packet: Timed, latest: dict[int, int], instants: Instants) -> None:
    if packet.pts is not None:
        instant = instants.first_at(packet.pts)
        latest[instant] = max(latest.get(instant, packet.pts), packet.pts)


def _judged(packet: Packet, latest: dict[int, int], instants: Instants) -> tuple[Packet, bool]:
    pts = packet.pts
    return packet, pts is None or latest[instants.first_at(pts)] == pts
