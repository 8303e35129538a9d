"""Carry what was learned on a source to another dataset: a table like the paper's Table 5.

reads    --frames --labels  the target: shards or a table, and its labels with their splits; or
         --train --test     two globs or tables whose own labels count
         --whitening        whitenings of fit_whitening, learned on the source
         --network          a model of train_deep, learned on the source
writes   --output           folder: whitening, models, evaluation, table.{txt,csv,md,json,png} and a
                            comparison of all, comparison/comparison.html
logs     one MLflow parent run with the table, one child run a row with its metrics

    spark-submit jobs/transfer.py --frames frames --labels train_partition.txt,test_partition.txt \
        --labels-format sports1m --vocabulary labels.txt --whitening whitening --output transfer
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from yt8m_spark.config import describe_config
from yt8m_spark.events import note
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.run import Run, child_run, open_run
from yt8m_spark.transfer import Transfer
from yt8m_spark.transfer_config import Config
from yt8m_spark.transfer_report import report_rows
from yt8m_spark.transfer_rows import TransferRow
from yt8m_spark.transfer_target import Target, check_apart, lay_out_target
from yt8m_spark.work_folder import work_folder

# What of the work folder is kept.
_KEPT = ("whitening", "models", "evaluation")


def main(config: Config) -> JobResult:
    """Make the rows that are not there yet, each in a child run; print and log the table."""
    source = config.source()
    config.chosen_rows(source, has_frames=True)  # what is wrong with them is told at once
    with (
        work_folder(
            config.output, config.settings(), resume=config.resume, overwrite=config.overwrite
        ) as work,
        open_run("transfer", config, config.inputs()) as run,
    ):
        target = _target(run, config, work)
        rows = config.chosen_rows(source, has_frames=target.has_frames(run.spark))
        transfer = Transfer(run.spark, work, target.sources, source, config.options(source))
        transfer.make_videos(rows)
        figures = {}
        for place, row in enumerate(rows, start=1):
            note(f"row {place} of {len(rows)}: {row.name}")
            figures[row.name] = _make(run, transfer, row, config)
        _keep(work, run.folder)
        report_rows(run, rows, figures)
    return run.result(_outputs(config, rows))


def _target(run: Run, config: Config, work: str) -> Target:
    """Videos to learn from and to test on, and what was counted of them."""
    if config.train is not None and config.test is not None:
        check_apart(run.spark, config.train, config.test)
        return Target({"train": config.train, "test": config.test}, {})
    target = lay_out_target(run.spark, str(config.frames), config.label_files(), work)
    run.log_metrics(target.counts)
    return target


def _make(run: Run, transfer: Transfer, row: TransferRow, config: Config) -> dict[str, float]:
    """Metrics of ``row``, made now or by a run before that was stopped."""
    params = describe_config(config) | config.row_params(row)
    with child_run(run, config, row.name, params) as child:
        metrics = transfer.done(row) or transfer.make(row, child)
        child.log_metrics(metrics)
        child.log_contents(transfer.path("evaluation", row.name), "evaluation")
    return metrics


def _keep(work: str, folder: str) -> None:
    """Copy what is kept of the work folder; that stays whole, should what follows fail."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in _KEPT:
        if (Path(work) / name).exists():
            shutil.copytree(Path(work) / name, Path(folder) / name)


def _outputs(config: Config, rows: Sequence[TransferRow]) -> dict[str, str]:
    files = {"table": "table.md"}
    if len(rows) > 1:
        files["comparison"] = "comparison/comparison.html"
    named = {name: str(Path(config.output) / file) for name, file in files.items()}
    return {"results": config.output, **named}


if __name__ == "__main__":
    run_job("transfer", Config, main)
