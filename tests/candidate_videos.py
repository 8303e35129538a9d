"""Candidates of a data set made in memory, and what the job makes of them in plain Python.

Nothing of the package is used here: `collect` is an independent implementation of §3.2 by
dictionaries and loops, `number` of the hash by its definition.
"""

import hashlib
import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import pyarrow as pa


class Candidate(NamedTuple):
    """One row."""

    video_id: str | None
    views: float | None
    duration: float | None
    topics: list[str] | None


class Collected(NamedTuple):
    """What `collect` finds."""

    labels: dict[str, list[int]]  # of each video of the data set
    splits: dict[str, str]
    reasons: dict[str, str]  # of each excluded video
    n_videos: dict[int, int]  # of each entity that stays


def number(video_id, purpose, seed=0):
    """First 60 bits of SHA-256, as docs/dataset.md defines it."""
    digest = hashlib.sha256(f"{purpose}/{seed}/{video_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 4


def split_of(video_id, seed=0):
    """70 %, 20 %, 10 %, in whole numbers."""
    tenths = 10 * number(video_id, "split", seed)
    return "train" if tenths < 7 << 60 else "validate" if tenths < 9 << 60 else "test"


def collect(candidates, topics, *, sample, min_videos, min_labels=1, seed=0):
    """Data set of ``candidates``, each id once, with the paper's bounds, a step at a time."""
    reasons = {row.video_id: why for row in candidates if (why := solo_reason(row))}
    eligible = [row for row in candidates if row.video_id not in reasons]
    eligible.sort(key=lambda row: (number(row.video_id, "sample", seed), row.video_id))
    reasons |= {row.video_id: "not_sampled" for row in eligible[sample:]}
    labels = {}
    for row in eligible[:sample]:
        found = sorted({topics[t] for t in row.topics or () if t in topics})
        why = "topics_missing" if row.topics is None else "no_topics" if not row.topics else None
        if found:
            labels[row.video_id] = found
        else:
            reasons[row.video_id] = why or "no_topic_in_vocabulary"
    kept, counts = fixed_point(labels, min_videos=min_videos, min_labels=min_labels)
    reasons |= {v: "too_few_entities_left" for v in labels if v not in kept}
    return Collected(kept, {v: split_of(v, seed) for v in kept}, reasons, counts)


def solo_reason(row):
    """Why a row goes by its numbers alone."""
    for name, value in (("views", row.views), ("duration", row.duration)):
        if value is None:
            return f"{name}_missing"
        if math.isnan(value):
            return f"{name}_no_number"
        if value < 0:
            return f"{name}_negative"
        if name == "views" and value < 1000:
            return "too_few_views"
    return "too_short" if row.duration < 120 else "too_long" if row.duration > 500 else None


def fixed_point(labels, *, min_videos, min_labels=1):
    """Remove entities and videos until nothing is removed; what is left, and its counts."""
    labels = {video: list(found) for video, found in labels.items()}
    while True:
        counts = Counter(e for found in labels.values() for e in found)
        left = {v: [e for e in found if counts[e] >= min_videos] for v, found in labels.items()}
        left = {v: found for v, found in left.items() if len(found) >= min_labels}
        if left == labels:
            return left, dict(counts)
        labels = left


def make_candidates(n, topics, seed=0, mean_topics=3.0):
    """``n`` rows of topics that follow Zipf's law; some are odd in every way that is known."""
    rng = np.random.default_rng([seed, n])
    weights = 1 / np.arange(1, len(topics) + 1)
    rows = []
    for i in range(n):
        count = min(rng.poisson(mean_topics), len(topics))
        found = rng.choice(topics, size=count, replace=False, p=weights / weights.sum()).tolist()
        views = float(rng.choice([10, 999, 1000, 1001, 10**6]))
        duration = float(rng.choice([1, 119.99, 120, 300.5, 500, 500.01, 4000], p=_DURATIONS))
        rows.append(Candidate(f"v{i:05d}", views, duration, found))
    odd = rng.permutation(n)[: 8 * max(1, n // 100)]
    changes = [
        {"views": None}, {"views": math.nan}, {"views": -1.0}, {"duration": None},
        {"duration": math.nan}, {"duration": -5.0}, {"topics": None}, {"topics": []},
    ]  # fmt: skip
    for at, change in zip(odd, changes * (len(odd) // 8), strict=True):
        rows[at] = Candidate(rows[at].video_id, 5000.0, 200.0, rows[at].topics)._replace(**change)
    return rows


_DURATIONS = (0.05, 0.05, 0.2, 0.4, 0.2, 0.05, 0.05)


def table_of(rows):
    """Arrow table of candidates."""
    columns = list(zip(*rows, strict=True)) or [()] * 4
    types = (pa.string(), pa.float64(), pa.float64(), pa.list_(pa.string()))
    arrays = [pa.array(list(c), t) for c, t in zip(columns, types, strict=True)]
    return pa.table(arrays, Candidate._fields)


def draw_topics(n, names, weights, seed=0, mean_topics=3.0):
    """``n`` candidates that all pass by their numbers, with topics drawn by ``weights``."""
    rng = np.random.default_rng([seed, n])
    ends = np.cumsum(weights) / np.sum(weights)
    drawn = [np.searchsorted(ends, rng.random(k)) for k in rng.poisson(mean_topics, n)]
    return [
        Candidate(f"v{i:05d}", 1000.0 + i, 120.0 + i % 381, sorted({names[j] for j in found}))
        for i, found in enumerate(drawn)
    ]
