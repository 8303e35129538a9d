"""A number that belongs to a video's id alone, and the split that follows from it (paper §3.2).

The number is the first 60 bits of SHA-256 of the text ``<purpose>/<seed>/<video_id>`` in UTF-8: any
language has it, and no other video, no order and no partitioning changes it. The purposes "sample"
and "split" give two numbers that have nothing to do with each other, so a sample leaves the shares
of the splits as they are.
"""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from functools import cache
from typing import NamedTuple

__all__ = [
    "HASH_BITS",
    "HEX_DIGITS",
    "SAMPLE",
    "SPLIT",
    "SPLITS",
    "Shares",
    "hash_prefix",
    "id_hash",
    "split_bounds",
    "split_name",
]

SAMPLE, SPLIT = "sample", "split"  # purposes
HEX_DIGITS = 15  # of SHA-256: the most that fit Spark's signed long
HASH_BITS = 4 * HEX_DIGITS
SPLITS = ("train", "validate", "test")


class Shares(NamedTuple):
    """Fractions of the videos in each split; §3.2 has 70 %, 20 % and 10 %."""

    train: float = 0.7
    validate: float = 0.2
    test: float = 0.1


def hash_prefix(purpose: str, seed: int) -> str:
    """Text that stands before the id of a video in what is hashed."""
    return f"{purpose}/{seed}/"


def id_hash(video_id: str, purpose: str, seed: int = 0) -> int:
    """Number of ``video_id`` for ``purpose``, 0 .. 2**60 - 1."""
    text = hash_prefix(purpose, seed) + video_id
    return int(hashlib.sha256(text.encode("utf-8")).hexdigest()[:HEX_DIGITS], 16)


@cache
def split_bounds(shares: Shares) -> tuple[int, int]:
    """Numbers below which a video is of Train, and, if not, of Validate; the rest is Test.

    Shares count as the decimals they are written as: 0.7 and 0.2 end at nine tenths exactly.

    Raises
    ------
    ValueError
        If a share is outside [0, 1], Train has none or they do not add up to 1.
    """
    train, validate, test = (Fraction(repr(float(share))) for share in shares)
    if min(train, validate, test) < 0 or train == 0:
        told = ", ".join(map(str, shares))
        raise ValueError(f"shares of splits must be at least 0, that of train above, got {told}")
    if abs(train + validate + test - 1) > Fraction(1, 10**9):
        raise ValueError(f"shares of splits must add up to 1, got {math.fsum(shares)}")
    whole = 2**HASH_BITS
    # Thirds, written 0.333..., add up to a little less than 1: Test takes that, if it is anything.
    end = train + validate if test else Fraction(1)
    return math.floor(train * whole), math.floor(min(end, Fraction(1)) * whole)


def split_name(video_id: str, shares: Shares | None = None, seed: int = 0) -> str:
    """Split of ``video_id``: "train", "validate" or "test".

    Paper: §3.2, which gives the ratios and not how videos are drawn; the hash is ours.
    """
    train, validate = split_bounds(shares or Shares())
    number = id_hash(video_id, SPLIT, seed)
    return SPLITS[(number >= train) + (number >= validate)]
