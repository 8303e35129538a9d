"""An evaluation in a page of text: its metrics, its bands, the best and the worst entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from yt8m_spark.evaluation_report import EvaluationReport
from yt8m_spark.report import TABLE_METRICS

__all__ = ["evaluation_summary"]

_LISTED = 5
# An average precision over fewer videos says more of the videos than of the entity.
_FEWEST = 10
_LONGEST_NAME = 40


def evaluation_summary(report: EvaluationReport) -> str:
    """Text of some 30 lines, metrics in percent.

    The best and worst entities are by average precision (ties: the more frequent, then the lower
    id), of those with at least 10 videos; of all where fewer than 10 have so many.
    """
    parts = [_metric_lines(report.metrics)]
    bands = [group for group in report.groups.to_pylist() if group["kind"] == "band"]
    parts.append(f"bands by {report.frequencies.source}\n{_band_lines(bands)}")
    entities = report.per_entity.to_pylist()
    chosen = [e for e in entities if e["n_positives"] >= _FEWEST]
    of = f"of at least {_FEWEST} videos"
    if len(chosen) < 2 * _LISTED:
        chosen, of = entities, "of all"
    chosen.sort(key=lambda e: (-e["average_precision"], -e["n_positives"], e["entity"]))
    best, worst = chosen[:_LISTED], chosen[max(_LISTED, len(chosen) - _LISTED) :][::-1]
    parts += [
        f"{name} entities, {of}\n{_entity_lines(listed)}"
        for name, listed in (("best", best), ("worst", worst))
        if listed
    ]
    return "\n\n".join(parts) + "\n"


def _metric_lines(metrics: Mapping[str, float]) -> str:
    n_labelled, n_videos = metrics["n_labelled_videos"], metrics["n_videos"]
    counts = (
        f"{n_videos:,.0f} videos, {n_labelled:,.0f} labelled, with {metrics['n_entities']:,.0f}"
    )
    known = {head: metrics[name] for head, name in TABLE_METRICS.items() if name in metrics}
    heads = "  ".join(f"{head:>7}" for head in known)
    figures = "  ".join(f"{100 * value:7.2f}" for value in known.values())
    return f"{counts} entities\n{heads}\n{figures}"


def _band_lines(groups: Sequence[Mapping[str, Any]]) -> str:
    lines = ["         entities     labels      mAP  calibration error"]
    for g in groups:
        error = "" if g["calibration_error"] is None else f"{g['calibration_error']:.5f}"
        counts = f"{g['n_entities']:>8,} {g['n_positives']:>10,}"
        lines.append(f"  {g['name']:<6} {counts}  {100 * g['map']:7.2f}  {error:>17}")
    return "\n".join(lines)


def _entity_lines(entities: Sequence[Mapping[str, Any]]) -> str:
    lines = ["       AP    videos  entity"]
    for e in entities:
        # A name is just text: no line breaks, nothing that a terminal obeys.
        name = "".join(c for c in f"{e['entity']} {e.get('name') or ''}" if c.isprintable())
        precision = f"{100 * e['average_precision']:7.2f}"
        lines.append(f"  {precision} {e['n_positives']:>9,}  {name.strip()[:_LONGEST_NAME]}")
    return "\n".join(lines)
