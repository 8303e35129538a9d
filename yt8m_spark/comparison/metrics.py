"""Metrics as people read them: their heads, percent, and which of two is better."""

from __future__ import annotations

import math
import re

from yt8m_spark.report import TABLE_METRICS

__all__ = ["DEFAULT_METRICS", "is_share", "lower_is_better", "metric_head", "shown", "shown_delta"]

DEFAULT_METRICS = tuple(TABLE_METRICS.values())

_HEADS = {metric: head for head, metric in TABLE_METRICS.items()}
_STARTER = "starter_"
_RANKED = re.compile(r"(hit|gap)_at_(\d+)")
_SHARE = re.compile(r"(starter_)?(map|perr|(hit|gap)_at_\d+)(_best|_worst)?")
_LOWER = re.compile(r".*(loss|error)")


def metric_head(metric: str) -> str:
    """Head of a column: ``mAP`` for ``map``, ``starter Hit@1`` for ``starter_hit_at_1``."""
    if metric.startswith(_STARTER):
        return f"starter {metric_head(metric.removeprefix(_STARTER))}"
    ranked = _RANKED.fullmatch(metric)
    if ranked:
        return f"{'Hit' if ranked[1] == 'hit' else 'GAP'}@{ranked[2]}"
    return _HEADS.get(metric, metric)


def is_share(metric: str) -> bool:
    """Whether it is a share in [0, 1], shown in percent."""
    return bool(_SHARE.fullmatch(metric))


def lower_is_better(metric: str) -> bool:
    """Whether less of it is better: of a loss, an error."""
    return bool(_LOWER.fullmatch(metric))


def shown(metric: str, value: float) -> str:
    """``value`` in percent with one decimal, or, no share, with four digits."""
    if math.isnan(value):
        return "–"
    return f"{100 * value:.1f}" if is_share(metric) else f"{value:.4g}"


def shown_delta(metric: str, value: float) -> str:
    """A difference with its sign: two decimals of percentage points, or three digits."""
    if math.isnan(value):
        return "–"
    return f"{100 * value:+.2f}" if is_share(metric) else f"{value:+.3g}"
