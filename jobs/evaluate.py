"""Evaluate a model, or predictions, by the metrics of the paper and of the starter code (§5.1).

reads    --model --input   model folder and features table (for a model of frames, §4.1.1, a
                           frames table or a glob of frame-level TFRecord shards), or
         --predictions     predictions table
writes   --output          folder: metrics.json, per_entity.parquet
logs     map, hit_at_1, hit_at_5, perr, gap_at_20, starter_*, a table of entities

    spark-submit jobs/evaluate.py --model model --input features --output evaluation
"""

from __future__ import annotations

from dataclasses import dataclass

from yt8m_spark.config import option
from yt8m_spark.core.entity_ids import parse_entities
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import step, watch
from yt8m_spark.run import JobConfig, Run, open_run
from yt8m_spark.spark.evaluation import Evaluation, evaluate_predictions
from yt8m_spark.spark.reports import named_entities, save_evaluation
from yt8m_spark.spark.scoring import evaluate_model
from yt8m_spark.spark.scoring_input import read_scoring_input
from yt8m_spark.spark.tables import count_videos, read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Evaluate a model, or predictions, by the metrics of the paper and of the starter code."""

    model: str | None = option("model folder of train_entities", None)
    input: str | None = option("features table to score; of frames for a model of frames", None)
    predictions: str | None = option(
        "predictions table, instead of --model and --input; for mAP, what --top-k of predict cut "
        "off counts as not predicted",
        None,
    )
    entities: str | None = option("evaluate these alone: ids and ranges, 0-199,305", None)
    vocabulary: str | None = option("CSV with the names of entities", None)

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        if (self.model is None) != (self.input is None):
            raise ValueError("--model and --input go together: one is given alone")
        if (self.model is None) == (self.predictions is None):
            raise ValueError("give either --model and --input, or --predictions")
        if self.entities is not None:
            parse_entities(self.entities)


def main(config: Config) -> JobResult:
    """Evaluate, report."""
    inputs = [config.model, config.input, config.predictions, config.vocabulary]
    with open_run("evaluate", config, inputs) as run:
        vocabulary = read_vocabulary(config.vocabulary) if config.vocabulary else None
        evaluation = _evaluate(run, config)
        save_evaluation(run.folder, evaluation, vocabulary)
        run.log_metrics({**evaluation.metrics, "n_videos": evaluation.n_videos})
        table = named_entities(evaluation.per_entity, vocabulary).to_pandas()
        run.tracked.log_table(table, "per_entity.json")
    return run.result({"evaluation": config.output})


def _evaluate(run: Run, config: Config) -> Evaluation:
    entities = None if config.entities is None else parse_entities(config.entities).tolist()
    if config.predictions is not None:
        with step("evaluate predictions"):
            table = read_table(run.spark, config.predictions)
            return evaluate_predictions(table, entities=entities)
    source, model = str(config.input), str(config.model)
    table, total = read_scoring_input(run.spark, source, model), count_videos(run.spark, source)
    with watch(run.heartbeats, total, "evaluate model") as heartbeats:
        return evaluate_model(table, model, entities=entities, heartbeats=heartbeats)


if __name__ == "__main__":
    run_job("evaluate", Config, main)
