"""What a run of recipes shows at its end: a table like the paper's Table 3, and a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from yt8m_spark.comparison import compare
from yt8m_spark.comparison.report import save_comparison
from yt8m_spark.comparison.runs import read_evaluation
from yt8m_spark.evaluation_report import EvaluationReport
from yt8m_spark.events import note
from yt8m_spark.report import figures_table
from yt8m_spark.run import Run

__all__ = ["report_recipes"]


def report_recipes(run: Run, reports: Mapping[str, EvaluationReport], baseline: str) -> None:
    """Print the table of ``reports`` and save it, and a comparison with ``baseline``; log both.

    ``<folder of the run>/evaluation/<name>`` holds the evaluation of each.
    """
    rows = {name: report.metrics for name, report in reports.items()}
    root = Path(run.folder)
    table = figures_table(rows)
    (root / "table.txt").write_text(table)
    (root / "table.json").write_text(json.dumps(rows, indent=2) + "\n")
    evaluated = [
        read_evaluation(root / "evaluation" / name, name, f"evaluation/{name}") for name in rows
    ]
    if len(evaluated) > 1:
        save_comparison(compare(evaluated, baseline=baseline), str(root / "comparison"))
        run.tracked.log_contents(str(root / "comparison"), "comparison")
    run.tracked.log_text(table, "table.txt")
    run.log_metrics({f"{name}.{key}": v for name, row in rows.items() for key, v in row.items()})
    note(f"\n{table}")
