"""Whether two evaluations are of the same videos, and their bootstraps of the same replicates."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from yt8m_spark.comparison.runs import EvaluatedRun

__all__ = ["same_videos_are_likely", "why_not_paired", "why_other_videos"]

_COUNTS = ("n_videos", "n_labelled_videos")


def why_other_videos(run: EvaluatedRun, baseline: EvaluatedRun) -> str | None:
    """What shows that two runs were evaluated on different videos; None if nothing does.

    Their videos are known by number, by how many each entity labels and, of bootstraps of one
    seed, by a digest of their ids.
    """
    for count in _COUNTS:
        if count in run.metrics and count in baseline.metrics:
            mine, theirs = run.metrics[count], baseline.metrics[count]
            if mine != theirs:
                return f"{count} is {mine:,.0f}, that of {baseline.name!r} is {theirs:,.0f}"
    digests = _digests(run, baseline)
    if digests is not None and digests[0] != digests[1]:
        return f"its video ids are not those of {baseline.name!r}"
    if run.per_entity is None or baseline.per_entity is None:
        return None
    return _why_other_entities(run.per_entity, baseline.per_entity, baseline.name)


def same_videos_are_likely(run: EvaluatedRun, baseline: EvaluatedRun) -> bool:
    """Whether both runs have the figures that `why_other_videos` compares, and they are equal."""
    both = run.per_entity is not None and baseline.per_entity is not None
    counted = any(count in run.metrics and count in baseline.metrics for count in _COUNTS)
    known = both or counted or _digests(run, baseline) is not None
    return known and why_other_videos(run, baseline) is None


def why_not_paired(run: EvaluatedRun, baseline: EvaluatedRun) -> str | None:
    """Why the replicates of two runs are not of the same videos; None if they are.

    None too where neither has a bootstrap: then there is nothing to tell.
    """
    mine, theirs = run.bootstrap, baseline.bootstrap
    if mine is None and theirs is None:
        return None
    if mine is None or theirs is None:
        return f"{run.name if mine is None else baseline.name!r} has no bootstrap"
    for name, a, b in zip(("seed", "groups", "replicates"), mine.plan, theirs.plan, strict=True):
        if a != b:
            return f"their bootstraps differ: {name} {a} and {b}"
    if mine.level != theirs.level:
        return f"their levels differ: {mine.level:g} and {theirs.level:g}"
    if not mine.replicates or not theirs.replicates:
        return "replicates.parquet is missing"
    return why_other_videos(run, baseline)


def _digests(run: EvaluatedRun, baseline: EvaluatedRun) -> tuple[str, str] | None:
    """Digests of both runs' videos, if both have one and under the same seed."""
    mine, theirs = run.bootstrap, baseline.bootstrap
    if mine is None or theirs is None or mine.plan[0] != theirs.plan[0]:
        return None
    return None if mine.videos is None or theirs.videos is None else (mine.videos, theirs.videos)


def _why_other_entities(mine: pa.Table, theirs: pa.Table, name: str) -> str | None:
    """What shows that two tables count the positives of different videos."""
    a, b = (dict(zip(*_counts(table), strict=True)) for table in (mine, theirs))
    differ = [entity for entity in sorted(a.keys() | b.keys()) if a.get(entity) != b.get(entity)]
    if not differ:
        return None
    first = differ[0]
    more = f" (and {len(differ) - 1:,} more entities)" if len(differ) > 1 else ""
    return (
        f"entity {first} has {a.get(first, 0):,} positives, "
        f"in {name!r} it has {b.get(first, 0):,}{more}"
    )


def _counts(table: pa.Table) -> tuple[list[int], list[int]]:
    counted = table.filter(np.asarray(table["n_positives"]) > 0)
    return counted["entity"].to_pylist(), counted["n_positives"].to_pylist()
