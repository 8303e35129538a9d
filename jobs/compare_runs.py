"""Compare runs like the paper's Table 3: differences, intervals, wins and losses by entity (§5).

reads    --runs           MLflow run ids or folders of evaluations, name= before them if wanted
         --parent         or: all child runs of a run, of run_pipeline say
         --best --by      or: the best runs of --experiment
writes   --output         folder: comparison.csv, comparison.md, comparison.html, per_entity.parquet
logs     the same files, n_runs

    python jobs/compare_runs.py --runs evaluation/logistic,moe=0fbb6d97f4a74b27986aa75cd6813d99 \
        --output comparison

It needs no Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yt8m_spark.artifacts import check_output_free
from yt8m_spark.comparison import Comparison, compare
from yt8m_spark.comparison.report import save_comparison
from yt8m_spark.comparison.store import RunStore, read_runs
from yt8m_spark.comparison.text import comparison_text
from yt8m_spark.config import option
from yt8m_spark.events import note
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.plan import DryRun
from yt8m_spark.run import JobConfig, observed, tracked_output

_OUTPUTS = {
    "comparison.csv": "table",
    "comparison.md": "text",
    "comparison.html": "page",
    "per_entity.parquet": "entities",
}


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Compare runs: figures, differences, intervals, wins and losses by entity."""

    runs: tuple[str, ...] = option("run ids or evaluation folders: ID, FOLDER or name=either", ())
    parent: str | None = option("compare the child runs of this run, too", None)
    best: int | None = option("compare this many best runs of --experiment, too", None)
    by: str = option("metric that --best goes by", "map")
    baseline: str | None = option("name of the run to compare with (default: the first)", None)
    metrics: tuple[str, ...] = option(
        "metrics to compare (default: map,hit_at_1,hit_at_5,perr,gap_at_20, those there are)", ()
    )
    min_positives: int = option(
        "entities with fewer videos are not named among the gains and losses", 10
    )
    allow_different_videos: bool = option(
        "compare runs that were evaluated on different videos", False
    )

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.best is not None and self.best < 1:
            raise ValueError(f"best must be at least 1, got {self.best}")
        if not (self.runs or self.parent or self.best):
            raise ValueError("give --runs, --parent or --best")


def main(config: Config) -> JobResult:
    """Compare, print, write, log."""
    # Both readings of name=FOLDER: the output must replace neither.
    inputs = [part for run in config.runs for part in (run, run.partition("=")[2]) if part]
    check_output_free(config.output, overwrite=config.overwrite, inputs=inputs)
    if config.dry_run:
        read_runs(_runs(config), config.tracking_uri)  # each is there
        raise DryRun(config, [path for path in inputs if Path(path).exists()])
    comparison = _compare(config)
    note(f"\n{comparison_text(comparison)}")
    with (
        tracked_output("compare_runs", config) as (tracked, folder),
        observed("compare_runs", config, tracked) as tally,
    ):
        names = save_comparison(comparison, folder)
        for name in names:
            tracked.log_file(str(Path(folder) / name))
        tracked.log_metrics({"n_runs": len(comparison.runs)})
    outputs = {"comparison": config.output}
    outputs |= {_OUTPUTS[name]: str(Path(config.output) / name) for name in names}
    return JobResult(outputs, _figures(comparison), tracked.run_id, tally.summary())


def _runs(config: Config) -> list[str]:
    """Runs that were named, and those that the store was asked for."""
    runs = list(config.runs)
    if config.parent or config.best:
        store = RunStore(config.tracking_uri)
        found = store.children(config.parent) if config.parent else []
        found += store.best(config.experiment, config.best, config.by) if config.best else []
        given = {part for run in runs for part in (run, run.rpartition("=")[2])}
        runs += [run_id for run_id in dict.fromkeys(found) if run_id not in given]
    return runs


def _compare(config: Config) -> Comparison:
    return compare(
        _runs(config),
        baseline=config.baseline,
        metrics=config.metrics or None,
        tracking_uri=config.tracking_uri,
        min_positives=config.min_positives,
        allow_different_videos=config.allow_different_videos,
    )


def _figures(comparison: Comparison) -> dict[str, float]:
    """Figures and differences of the JSON line, by run and metric."""
    figures = {"n_runs": float(len(comparison.runs))}
    for run in comparison.runs:
        for metric in comparison.metrics:
            figures[f"{run.name}.{metric}"] = run.figure(metric)
            if run.name != comparison.baseline:
                difference = comparison.differences[run.name][metric].value
                figures[f"{run.name}.{metric}_difference"] = difference
    return figures


if __name__ == "__main__":
    run_job("compare_runs", Config, main)
