"""Try hyper-parameters on a validation split and keep the best, for each entity or for all (§4.3).

reads    --input --validate   features tables of one whitening: to learn from, to judge by
writes   --output             model folder, as of train_entities, + search.parquet, search.json,
                              search.png
logs     one MLflow parent run with the choice, one child run a setting with its figures

    spark-submit jobs/search_entities.py --input features/train --validate features/validate \
        --output model --loss moe --learning-rates 0.1,0.3,1 --experts 1,2,4 --choose entity
"""

from __future__ import annotations

from pathlib import Path

from yt8m_spark.core.entity_ids import parse_entities
from yt8m_spark.core.search import setting_names
from yt8m_spark.errors import InputError
from yt8m_spark.events import note
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.run import Run, child_run, open_run
from yt8m_spark.search_config import SearchConfig
from yt8m_spark.search_plot import draw_search, settings_table
from yt8m_spark.spark.provenance import origin_of, whitening_of
from yt8m_spark.spark.search import Searched, prepare_validation, search_entities
from yt8m_spark.spark.tables import read_table
from yt8m_spark.training_config import lay_out, settings_of
from yt8m_spark.work_folder import work_folder

# With which settings what is trained is chosen from has no say in the trainings.
_FREE = frozenset({"choose", "metric"})


def main(config: SearchConfig) -> JobResult:
    """Read, search, describe; what a stopped search leaves is kept for --resume."""
    inputs = [config.input, config.validate, config.vocabulary]
    tables = {"--input": config.input, "--validate": config.validate}
    _check_whitening(config)
    with (
        work_folder(
            config.output,
            settings_of(config, tables, _FREE),
            resume=config.resume,
            overwrite=config.overwrite,
        ) as work,
        # Inside: what is done is kept until the model is in its place.
        open_run("search_entities", config, inputs) as run,
    ):
        table = read_table(run.spark, config.input)
        validate = read_table(run.spark, config.validate)
        # First: it is the smaller table, and the one that may not fit.
        validation = prepare_validation(table, validate, work, where=config.validate)
        data = lay_out(run, config, config.input, work)
        chosen = None if config.entities is None else parse_entities(config.entities)
        searched = search_entities(
            run.spark,
            data,
            validation,
            work,
            run.folder,
            loss=config.loss,
            settings=config.settings(),
            options=config.training_options(),
            by=config.choose,
            metric=config.metric,
            entities=chosen,
            block_size=config.block_size,
            extras=config.extras(data, chosen),
            description={
                "input": config.input,
                "validate": config.validate,
                **origin_of(config.input),
            },
        )
        _report(run, config, searched)
    return run.result({"model": config.output})


def _check_whitening(config: SearchConfig) -> None:
    """Refuse tables of two whitenings, if both are known: their widths may well agree."""
    expected, found = whitening_of(config.input), whitening_of(config.validate)
    if expected and found and expected != found:
        raise InputError(
            "features are of another whitening than those to learn from",
            where=config.validate,
            expected=f"digest {expected[:12]}",
            found=found[:12],
        )


def _report(run: Run, config: SearchConfig, searched: Searched) -> None:
    """Log the choice and a child run a setting; draw and print how they compare."""
    rows = searched.settings
    names = setting_names([row.setting for row in rows])
    for name, row in zip(names, rows, strict=True):
        params = {key: f"{value:g}" for key, value in row.setting._asdict().items()}
        with child_run(run, config, name, {**params, "loss": config.loss}) as child:
            child.log_metrics(row.figures())
    plot = str(Path(run.folder) / "search.png")
    draw_search(rows, searched.overall, config.metric, plot)
    run.tracked.log_file(plot)
    table = settings_table(names, rows, searched.overall)
    run.tracked.log_text(table, "search.txt")
    note(f"\n{table}")
    run.log_metrics(searched.figures())


if __name__ == "__main__":
    run_job("search_entities", SearchConfig, main)
