"""Runs side by side, like the paper's Table 3, with what tells a difference from luck.

In a notebook::

    from yt8m_spark.comparison import compare

    compare(["0fbb6d97f4a74b27986aa75cd6813d99", "moe=results/evaluation/moe_mean"])
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from yt8m_spark.comparison.entities import (
    Entities,
    EntityComparison,
    compare_entities,
    join_entities,
)
from yt8m_spark.comparison.metrics import DEFAULT_METRICS, lower_is_better
from yt8m_spark.comparison.page import comparison_page
from yt8m_spark.comparison.runs import EvaluatedRun
from yt8m_spark.comparison.store import read_runs
from yt8m_spark.comparison.text import comparison_text
from yt8m_spark.comparison.videos import same_videos_are_likely, why_not_paired, why_other_videos
from yt8m_spark.core.paired_comparison import Interval, paired_interval
from yt8m_spark.errors import InputError

__all__ = ["Comparison", "Difference", "compare"]

_FRAME_HEIGHT = 640  # pixels of the page in a notebook


class Difference(NamedTuple):
    """What a run has more of a metric than the baseline."""

    value: float  # NaN if either has not the metric
    interval: Interval | None  # of the difference; None if the replicates do not pair

    @property
    def is_significant(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        return self.interval is not None and self.interval.excludes_zero


@dataclass(frozen=True, repr=False)
class Comparison:
    """Runs and how they differ from one of them; a notebook shows it as a page."""

    runs: tuple[EvaluatedRun, ...]
    baseline: str
    metrics: tuple[str, ...]
    differences: Mapping[str, Mapping[str, Difference]]  # run, metric; all runs but the baseline
    entities: Entities | None  # None if fewer than two runs know theirs
    by_entity: Mapping[str, EntityComparison]  # run; those that know theirs, as the baseline does
    settings: Mapping[str, Mapping[str, str]]  # setting, run; those that differ
    warnings: tuple[str, ...]  # what makes the figures not comparable
    notes: tuple[str, ...]  # what could not be told, and why

    def is_best(self, name: str, metric: str) -> bool:
        """Whether no run has a better ``metric`` than the run ``name``: equals are all best."""
        known = {run.name: run.figure(metric) for run in self.runs if metric in run.metrics}
        best = min(known.values()) if lower_is_better(metric) else max(known.values())
        return known.get(name) == best

    def __repr__(self) -> str:
        """The table as text."""
        return comparison_text(self)

    def _repr_html_(self) -> str:
        """The page in a frame, so that its styles and those of the notebook keep apart."""
        page = html.escape(comparison_page(self))
        return (
            f'<iframe sandbox="allow-scripts" title="Comparison of runs" srcdoc="{page}" '
            f'style="width: 100%; height: {_FRAME_HEIGHT}px; border: 0"></iframe>'
        )


def compare(
    runs: Sequence[str | EvaluatedRun],
    *,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    tracking_uri: str | None = None,
    min_positives: int = 10,
    allow_different_videos: bool = False,
) -> Comparison:
    """Compare ``runs`` with one of them.

    Parameters
    ----------
    runs : sequence of str or EvaluatedRun
        Ids of MLflow runs and folders of evaluations, ``name=`` before those that shall have
        another name than their own; or runs read already.
    baseline : str, optional
        Name of the run that the others are compared with; the first if not given.
    metrics : sequence of str, optional
        Names as in metrics.json. If not given those of Table 3 and GAP@20, and a run may lack some.
    tracking_uri : str, optional
        MLflow store; if not given the one that MLflow is set to.
    min_positives : int
        Entities with fewer videos are not named among the gains and losses.
    allow_different_videos : bool
        Compare runs that were not evaluated on the same videos; it warns.

    Raises
    ------
    InputError
        If there are fewer than two runs, one is not found or has none of the metrics or one that
        is NaN, the baseline is not among them, or their videos are not the same: differences of
        such figures say more of the videos than of the models.
    """
    known = _read(runs, tracking_uri)
    base = _baseline(known, baseline)
    chosen = _metrics(known, metrics)
    others = [run for run in known if run is not base]
    warnings = _warnings(others, base, allowed=allow_different_videos)
    entities = join_entities(known)
    with_entities = entities.figures if entities and base.name in entities.figures else {}
    return Comparison(
        tuple(known),
        base.name,
        chosen,
        {run.name: {m: _difference(run, base, m) for m in chosen} for run in others},
        entities,
        {
            run.name: compare_entities(entities, run.name, base.name, min_positives=min_positives)
            for run in others
            if entities and run.name in with_entities
        },
        _settings(known),
        tuple(warnings),
        tuple(_notes(others, base)),
    )


def _read(runs: Sequence[str | EvaluatedRun], tracking_uri: str | None) -> list[EvaluatedRun]:
    if len(runs) < 2:
        raise InputError("nothing to compare", expected="at least two runs", found=len(runs))
    specs = [run for run in runs if isinstance(run, str)]
    read = iter(read_runs(specs, tracking_uri))
    known = [next(read) if isinstance(run, str) else run for run in runs]
    names = [run.name for run in known]
    for name in names:
        if names.count(name) > 1:
            raise InputError("two runs have one name", found=repr(name))
    return known


def _baseline(runs: Sequence[EvaluatedRun], name: str | None) -> EvaluatedRun:
    if name is None:
        return runs[0]
    found = [run for run in runs if name in (run.name, run.source)]
    if not found:
        expected = "one of " + ", ".join(run.name for run in runs)
        raise InputError("baseline is not among the runs", expected=expected, found=name)
    return found[0]


def _metrics(runs: Sequence[EvaluatedRun], metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Metrics to compare: those asked for, or those of the defaults that some run has."""
    chosen = DEFAULT_METRICS if metrics is None else tuple(dict.fromkeys(metrics))
    for run in runs:
        missing = [metric for metric in chosen if metric not in run.metrics]
        if missing and (metrics is not None or len(missing) == len(chosen)):
            found = ", ".join(sorted(run.metrics))[:200] or "none"
            raise InputError(
                f"run {run.name!r} has no metric {missing[0]!r}", where=run.source, found=found
            )
        for metric in chosen:
            if metric in run.metrics and not math.isfinite(run.metrics[metric]):
                raise InputError(
                    f"metric {metric!r} of run {run.name!r} is not a finite number",
                    where=run.source,
                    found=run.metrics[metric],
                )
    return tuple(metric for metric in chosen if any(metric in run.metrics for run in runs))


def _warnings(runs: Sequence[EvaluatedRun], baseline: EvaluatedRun, *, allowed: bool) -> list[str]:
    warnings = []
    for run in runs:
        why = why_other_videos(run, baseline)
        if why is None:
            continue
        if not allowed:
            raise InputError(
                f"run {run.name!r} was not evaluated on the videos of {baseline.name!r}, so that "
                f"they are not comparable ({why}); --allow-different-videos compares them still"
            )
        warnings.append(f"{run.name!r} and {baseline.name!r} are NOT COMPARABLE: {why}")
    return warnings


def _notes(runs: Sequence[EvaluatedRun], baseline: EvaluatedRun) -> list[str]:
    notes = []
    for run in runs:
        if why_other_videos(run, baseline) is None and not same_videos_are_likely(run, baseline):
            notes.append(
                f"Nothing tells whether {run.name!r} was evaluated on the same videos as "
                f"{baseline.name!r}."
            )
        why = why_not_paired(run, baseline)
        if why is not None:
            notes.append(f"The differences of {run.name!r} have no interval: {why}.")
    return notes


def _difference(run: EvaluatedRun, baseline: EvaluatedRun, metric: str) -> Difference:
    value = run.figure(metric) - baseline.figure(metric)
    mine, theirs = run.bootstrap, baseline.bootstrap
    # The check for None is what why_not_paired says of them, in words for mypy.
    if why_not_paired(run, baseline) or mine is None or theirs is None:
        return Difference(value, None)
    if metric not in mine.replicates or metric not in theirs.replicates:
        return Difference(value, None)
    replicates, base = mine.replicates[metric], theirs.replicates[metric]
    if len(replicates) != len(base):
        raise InputError(
            f"replicates of {run.name!r} and {baseline.name!r} differ in number",
            expected=len(base),
            found=len(replicates),
        )
    return Difference(value, paired_interval(replicates, base, value, level=mine.level))


def _settings(runs: Sequence[EvaluatedRun]) -> dict[str, dict[str, str]]:
    names = sorted({name for run in runs for name in run.settings})
    found = {
        name: {run.name: run.settings[name] for run in runs if name in run.settings}
        for name in names
    }
    return {
        name: values
        for name, values in found.items()
        if len(values) < len(runs) or len(set(values.values())) > 1
    }
