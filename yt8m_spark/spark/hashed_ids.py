"""`core.split_hash` as columns, and the N videos whose numbers are least.

The N least numbers are a sample of exactly N that changes as little as one of that size can: a new
video enters only if its number is below the greatest in the sample, and then takes that one's
place. Of a sample of N, the sample of any smaller size is a part.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from yt8m_spark.core.split_hash import (
    HASH_BITS,
    HEX_DIGITS,
    SPLIT,
    Shares,
    hash_prefix,
    split_bounds,
)
from yt8m_spark.spark.splits import SPLITS

__all__ = ["Last", "at_most", "hash_column", "nth_least", "split_column"]

_BUCKET_BITS = 16  # of the first pass over the numbers: at most 65,536 counts for the driver


class Last(NamedTuple):
    """The video of a sample whose number is greatest; of equal numbers, whose id is."""

    number: int
    video_id: str


def hash_column(purpose: str, seed: int, video_id: str = "video_id") -> Column:
    """Number of the column ``video_id`` as `core.split_hash.id_hash` has it, a long."""
    text = F.concat(F.lit(hash_prefix(purpose, seed)), F.col(video_id))
    digits = F.substring(F.sha2(text, 256), 1, HEX_DIGITS)
    return F.conv(digits, 16, 10).cast("long")


def split_column(shares: Shares, seed: int) -> Column:
    """Split of the column ``video_id``, as `core.split_hash.split_name` has it."""
    ends = split_bounds(shares)
    number = hash_column(SPLIT, seed)
    train, validate, test = SPLITS
    inside = F.when(number < ends[0], train).when(number < ends[1], validate)
    return inside.otherwise(test).alias("split")


def nth_least(rows: DataFrame, n: int, number: str) -> Last:
    """The ``n``-th, from 1, of ``rows`` by their long column ``number`` and by ``video_id``.

    Two passes over the two columns. The driver gets 65,536 counts and one row, and one task sorts
    one part in 65,536 of the rows, however many there are.

    Raises
    ------
    ValueError
        If there are fewer than ``n`` rows.
    """
    bucket = F.shiftright(number, HASH_BITS - _BUCKET_BITS).cast("int")
    found = rows.groupBy(bucket.alias("bucket")).count().toPandas().sort_values("bucket")
    ends = np.cumsum(found["count"].to_numpy(np.int64))
    if not len(ends) or not 1 <= n <= ends[-1]:
        raise ValueError(f"n must be in 1 .. {ends[-1] if len(ends) else 0}, got {n}")
    place = int(np.searchsorted(ends, n))
    before = int(ends[place - 1]) if place else 0
    inside = rows.where(bucket == int(found["bucket"].iloc[place]))
    ordered = inside.select(number, "video_id").orderBy(number, "video_id")
    row = ordered.offset(n - before - 1).limit(1).collect()[0]
    return Last(row[number], row["video_id"])


def at_most(last: Last, number: str) -> Column:
    """Whether a row comes no later than ``last`` by ``number`` and ``video_id``."""
    tied = (F.col(number) == last.number) & (F.col("video_id") <= last.video_id)
    return (F.col(number) < last.number) | tied
