"""Train a second stage on the scores of a first: classifiers that know of each other (after §6).

reads    --input     features table
         --first     model folder of train_entities, if there is one: then --input are videos that
                     it has not learned from
writes   --output    model folder: first/, map/, second/, model.json; predict, evaluate and the
                     rest take it as any other
logs     n_entities, n_second, n_videos, n_components, explained_variance_ratio, first_loss,
         second_loss; one run for each model that is trained, nested, as of train_entities

    spark-submit jobs/train_stack.py --input features --output model --loss moe
"""

from __future__ import annotations

from yt8m_spark.job import JobResult, run_job
from yt8m_spark.pyfunc import log_entity_model
from yt8m_spark.run import open_run
from yt8m_spark.stack_config import StackConfig
from yt8m_spark.stack_training import check_first_stage, train_stack
from yt8m_spark.training_config import settings_of
from yt8m_spark.work_folder import work_folder

# What has no say in the stages that a resumed training has made already.
_FREE = frozenset({"register", "alias", "weight"})


def main(config: StackConfig) -> JobResult:
    """Train, lay out, describe; what a stopped training leaves is kept for --resume."""
    tables = {"--input": config.input}
    if config.first is not None:
        check_first_stage(config.first)
        tables["--first"] = config.first
    with (
        work_folder(
            config.output,
            settings_of(config, tables, _FREE),
            resume=config.resume,
            overwrite=config.overwrite,
        ) as work,
        # Inside: what is done is kept until the model is in its place.
        open_run("train_stack", config, [config.input, config.first, config.vocabulary]) as run,
    ):
        run.log_metrics(train_stack(run, config, work)._asdict())
        if config.log_model or config.register:
            log_entity_model(run.tracked, run.folder, register=config.register, alias=config.alias)
    return run.result({"model": config.output})


if __name__ == "__main__":
    run_job("train_stack", StackConfig, main)
