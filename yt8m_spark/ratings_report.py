"""A rated evaluation as people read it: the label figures of §3.5 and a table like Table 4."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from yt8m_spark.artifacts import save_json
from yt8m_spark.core.agreement import Agreement, Share, order_agreement
from yt8m_spark.spark.ratings import LabelQuality, RatedModel

__all__ = ["rating_figures", "rating_page", "save_figures"]

# Table 4's columns; the heads and the metrics.
TABLE_METRICS = {"Hit@1": "hit_at_1", "PERR": "perr", "Hit@5": "hit_at_5"}


def rating_figures(
    quality: LabelQuality, raters: Agreement, models: Mapping[str, RatedModel]
) -> dict[str, float]:
    """All figures by name, flat.

    ``label_precision`` and ``label_recall``, each with ``_low`` and ``_high``; ``fleiss_kappa``,
    ``percent_agreement`` (a fraction) and counts; ``<model>.human.<metric>`` and
    ``<model>.machine.<metric>``; for two models or more ``spearman_<metric>`` and
    ``kendall_<metric>`` between the two.
    """
    figures = {
        **_with_interval("label_precision", quality.precision),
        **_with_interval("label_recall", quality.recall),
        "fleiss_kappa": raters.kappa,
        "percent_agreement": raters.percent,
        "n_rated_pairs": quality.n_pairs,
        "n_machine_labels": quality.n_machine,
        "n_human_labels": quality.n_human,
    }
    for name, model in models.items():
        for labels, metrics in model._asdict().items():
            figures |= {f"{name}.{labels}.{m}": metrics[m] for m in TABLE_METRICS.values()}
    if len(models) > 1:
        for metric in TABLE_METRICS.values():
            human, machine = (
                np.array([getattr(m, labels)[metric] for m in models.values()], dtype=np.float64)
                for labels in RatedModel._fields
            )
            rho, tau = order_agreement(human, machine)
            figures |= {f"spearman_{metric}": rho, f"kendall_{metric}": tau}
    return figures


def rating_page(figures: Mapping[str, float], models: Mapping[str, RatedModel]) -> str:
    """Page in Markdown: machine labels, raters, and the models by both kinds of labels, in %."""
    lines = [
        "| of rated pairs | % | 95 % interval |",
        "|---|---|---|",
        *(_share_row(name, figures) for name in ("precision", "recall")),
        "",
        f"{figures['n_rated_pairs']:,.0f} rated pairs, {figures['n_machine_labels']:,.0f} of them "
        f"machine labels, {figures['n_human_labels']:,.0f} labels by majority; raters agree in "
        f"{_percent(figures['percent_agreement'])} % (Fleiss' kappa "
        f"{_number(figures['fleiss_kappa'])}).",
    ]
    if models:
        heads = [f"{head}, {labels}" for labels in RatedModel._fields for head in TABLE_METRICS]
        lines += ["", f"| model | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
        lines += [_model_row(name, model) for name, model in models.items()]
    if len(models) > 1:
        lines += ["", "Order of the models by human and by machine labels:", ""]
        lines += ["| | Spearman | Kendall |", "|---|---|---|"]
        lines += [
            f"| {head} | {_number(figures[f'spearman_{m}'])} | {_number(figures[f'kendall_{m}'])} |"
            for head, m in TABLE_METRICS.items()
        ]
    return "\n".join(lines) + "\n"


def save_figures(folder: Path, figures: Mapping[str, float], page: str) -> None:
    """Write ``metrics.json``, null for what is not defined, and ``report.md`` to ``folder``."""
    defined = {name: None if math.isnan(value) else value for name, value in figures.items()}
    save_json(folder / "metrics.json", defined)
    (folder / "report.md").write_text(page, encoding="utf-8")


def _with_interval(name: str, found: Share) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _share_row(name: str, figures: Mapping[str, float]) -> str:
    value, low, high = (_percent(figures[f"label_{name}{end}"]) for end in ("", "_low", "_high"))
    return f"| {name} of machine labels | {value} | {low} to {high} |"


def _model_row(name: str, model: RatedModel) -> str:
    cells = [_percent(metrics[m]) for metrics in model for m in TABLE_METRICS.values()]
    return f"| {name} | {' | '.join(cells)} |"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
