"""Which frames stand for which instants, against brute force. Decoding is tested in test_decode."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest

from yt8m_spark.video.instants import Instants, with_need


class Packet(NamedTuple):
    pts: int | None


def frames_of_instants(times, time_base, rate, n_instants):
    """For each instant k the last time at or before k / rate seconds from the first."""
    seconds = [Fraction(t - min(times)) * time_base for t in times]
    return [
        max(t for t, s in zip(times, seconds, strict=True) if s <= Fraction(k) / Fraction(rate))
        for k in range(n_instants)
    ]


@pytest.mark.parametrize("rate", [1, 2.5, 0.2])
@pytest.mark.parametrize("time_base", [Fraction(1, 1000), Fraction(1001, 30_000)])
def test_packets_that_are_needed_are_those_of_the_instants_and_few_others(rate, time_base):
    rng = np.random.default_rng([int(10 * rate), time_base.numerator])
    gaps = rng.integers(1, 60 if time_base.denominator == 1000 else 4, 400)
    times = [int(t) for t in 700 + np.cumsum(gaps)]
    # As B-frames are stored: moved within groups of eight.
    stored = [t for i in range(0, 400, 8) for t in rng.permutation(times[i : i + 8]).tolist()]
    found = [p.pts for p, needed in with_need(map(Packet, stored), time_base, rate) if needed]
    seconds = float((times[-1] - times[0]) * time_base)
    wanted = frames_of_instants(times, time_base, rate, int(seconds * rate) + 1)
    assert set(wanted) <= set(found)
    assert len(found) <= len(set(wanted)) + 1 + len(times) // 40


def test_packets_keep_their_order_and_those_without_a_time_are_needed():
    packets = [Packet(t) for t in (0, None, 10, 20, None)]
    judged = list(with_need(packets, Fraction(1, 1000), 1))
    assert [packet for packet, _ in judged] == packets
    assert [needed for _, needed in judged] == [True, True, False, True, True]


def test_an_instant_belongs_to_the_frame_that_begins_at_it():
    instants = Instants(Fraction(1, 30), 60, 1)
    assert [instants.first_at(t) for t in (0, 60, 61, 90, 91)] == [0, 0, 1, 1, 2]


def test_a_rate_that_no_float_holds_is_meant_as_it_is_written():
    instants = Instants(Fraction(1, 1000), 0, 0.1)  # an instant each ten seconds
    assert instants.first_at(10_000_000_000) == 1_000_000
