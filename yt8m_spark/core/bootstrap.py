"""Bootstrap intervals over videos, from counts alone.

Videos fall into G = 100 groups by a hash of their id, and a replicate draws G groups with
replacement. Whatever an evaluation counts it counts apart for each group; the counts times the
number of times that each group was drawn are those of the replicate, exactly as if its videos,
repeated, had been evaluated. So one pass over the videos serves every replicate, and the figures
do not depend on partitioning.

The groups are random, so that their resampling has the same expected variance as that of single
videos (a random-groups bootstrap); an interval's width, from 100 groups, is known to about 7 %
(1 / sqrt(2 G)). With fewer videos than groups it is nearly the ordinary bootstrap.

Where most entities have a handful of positives, intervals of mAP are too narrow: in a simulation
of 400 videos and 60 entities by Zipf's law their standard deviation was 0.80 of the true one and
95 % intervals held the truth 86 % of the time; with common entities 92 to 95 %.

Axes: V videos, G groups, N replicates, R = 1 + N: the evaluation itself, then its replicates.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVEL", "centred", "interval", "replicate_weights", "video_hashes"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LEVEL = 0.95
# Replicates are drawn with a generator of their own, apart from anything else of the same seed.
_DRAWS = 0xB007


def video_hashes(video_ids: Iterable[str], seed: int) -> NDArray[np.uint64]:
    """64-bit hash of each id, (V,): the same on every machine and in every process."""
    key = seed.to_bytes(8, "little")
    digests = b"".join(
        blake2b(video_id.encode(), digest_size=8, key=key).digest() for video_id in video_ids
    )
    return np.frombuffer(digests, dtype="<u8")


def replicate_weights(n_replicates: int, n_groups: int, seed: int) -> Floats:
    """How often each replicate drew each group, (G, 1 + N) whole numbers.

    Column 0 is the evaluation itself: every group once. They are the same for two evaluations of
    one seed, so that on the same videos their replicates are pairs.
    """
    rng = np.random.default_rng([seed, _DRAWS])
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_replicates)
    return np.concatenate([np.ones((1, n_groups)), drawn]).T.astype(np.float64, order="C")


def centred(replicates: Floats, point: float) -> Floats:
    """``replicates`` (N,) moved so that their mean is the evaluation's figure ``point``.

    Replicates are biased: one that draws a positive twice has it twice in the ranking, with
    nothing new above it, and one that draws no positive of an entity has it not in its mean. For
    entities of one or two videos that raises average precision: an interval of plain quantiles
    may lie above the figure that it is of. Their spread is what they are for; where it lies is
    known. A NaN (a replicate without any labelled video) stays one.
    """
    known = replicates[~np.isnan(replicates)]
    return replicates + (point - known.mean()) if len(known) else replicates


def interval(replicates: Floats, level: float = LEVEL) -> tuple[float, float]:
    """Quantiles (1 - level) / 2 and (1 + level) / 2 of ``replicates`` (N,), NaN left out."""
    known = replicates[~np.isnan(replicates)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
