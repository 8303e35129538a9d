"""Evaluate a model, or predictions, by the metrics of the paper and of the starter code (§5.1).

reads    --model --input         model folder and features table (for a model of frames, §4.1.1,
                                 or a network, a frames table or a glob of frame-level shards), or
         --predictions           predictions table, with labels of its own or those of --input: a
                                 table, or shards; or a video submission (.csv, .csv.gz), which
                                 has none
writes   --output                folder: metrics.json, per_entity.parquet and other tables, plots
logs     map, hit_at_k, perr, gap_at_20, loss, starter_*, the folder as artifacts evaluation/, a
         table of entities

    spark-submit jobs/evaluate.py --model model --input features --output evaluation
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from yt8m_spark.config import option
from yt8m_spark.core.entity_ids import parse_entities
from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.evaluation_log import log_evaluation
from yt8m_spark.evaluation_report import model_frequencies, save_evaluation
from yt8m_spark.evaluation_summary import evaluation_summary
from yt8m_spark.events import note
from yt8m_spark.formats.vocabulary_details import read_vocabulary_details
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import step, watch
from yt8m_spark.run import JobConfig, Run, open_run
from yt8m_spark.spark.evaluation import Evaluation, evaluate_predictions
from yt8m_spark.spark.scoring import evaluate_model
from yt8m_spark.spark.scoring_input import read_scoring_input
from yt8m_spark.spark.submissions import is_submission, read_submission
from yt8m_spark.spark.tables import count_videos, read_input, read_table
from yt8m_spark.spark.truth import with_truth


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Evaluate a model, or predictions, by the metrics of the paper and of the starter code."""

    model: str | None = option("model folder of train_entities or train_deep", None)
    input: str | None = option(
        "what --model scores: features, or frames for a model of frames or a network; or labels of "
        "--predictions: any table, or shards",
        None,
    )
    predictions: str | None = option(
        "predictions table, or a submission CSV, instead of --model; for mAP, what --top-k of "
        "predict cut off counts as not predicted",
        None,
    )
    calibration: str | None = option("folder of fit_calibration on --model", None)
    unmatched: Literal["refuse", "ignore"] = option(
        "videos that only one of --predictions and --input has: refused, or left out and counted "
        "as predicting nothing",
        "refuse",
    )
    entities: str | None = option("evaluate these alone: ids and ranges, 0-199,305", None)
    vocabulary: str | None = option(
        "CSV of the entities there are: names, verticals; others are refused", None
    )
    hit_at: tuple[str, ...] = option("k of Hit@k", ("1", "5"))
    bootstrap: int = option("replicates for 95 % intervals, at least 40; 0 for none", 0)
    bootstrap_seed: int = option("seed of the bootstrap", 0)

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        if (self.model is None) == (self.predictions is None):
            raise ValueError("give either --model and --input, or --predictions")
        if self.model is not None and self.input is None:
            raise ValueError("--model and --input go together: one is given alone")
        if self.calibration is not None and self.model is None:
            raise ValueError("--calibration is of scores of --model, which is not given")
        if self.predictions and is_submission(self.predictions) and self.input is None:
            raise ValueError("a submission has no labels: give them as --input")
        if not all(k.isdecimal() for k in self.hit_at):
            raise ValueError(f"hit_at must be whole numbers, got {','.join(self.hit_at)}")
        _ = self.options, self.entity_ids

    @property
    def entity_ids(self) -> list[int] | None:
        """Entities to evaluate; None for all."""
        return None if self.entities is None else parse_entities(self.entities).tolist()

    @property
    def options(self) -> EvaluationOptions:
        """What is asked for beside the usual metrics, but for the vocabulary."""
        return EvaluationOptions(
            hit_at=tuple(map(int, self.hit_at)),
            n_replicates=self.bootstrap,
            seed=self.bootstrap_seed,
        )


def main(config: Config) -> JobResult:
    """Evaluate, report."""
    inputs = [config.model, config.input, config.predictions, config.vocabulary, config.calibration]
    with open_run("evaluate", config, inputs) as run:
        names = read_vocabulary_details(config.vocabulary) if config.vocabulary else None
        known = None if names is None else tuple(names.entities.tolist())
        options = replace(config.options, vocabulary=known)
        if config.predictions is not None:
            with step("evaluate predictions"):
                evaluation = _of_predictions(run, config, options)
        else:
            evaluation = _of_model(run, config, options)
        trained = None if config.model is None else model_frequencies(config.model)
        report = save_evaluation(run.folder, evaluation, names, frequencies=trained)
        run.metrics.update(report.metrics)
        log_evaluation(run.tracked, report, run.folder)
        note(f"\n{evaluation_summary(report)}")
        _tell_misses(evaluation)
    return run.result({"evaluation": config.output})


def _of_predictions(run: Run, config: Config, options: EvaluationOptions) -> Evaluation:
    given = str(config.predictions)
    read = read_submission if is_submission(given) else read_table
    table, counts = read(run.spark, given), {}
    if config.input is not None:
        truth = read_input(run.spark, config.input)
        table, *numbers = with_truth(table, truth, unmatched=config.unmatched)
        if config.unmatched == "ignore":
            names = ("n_predictions_without_truth", "n_videos_without_predictions")
            counts = dict(zip(names, map(float, numbers), strict=True))
    evaluation = evaluate_predictions(table, entities=config.entity_ids, options=options)
    return replace(evaluation, metrics={**evaluation.metrics, **counts})


def _of_model(run: Run, config: Config, options: EvaluationOptions) -> Evaluation:
    source, model = str(config.input), str(config.model)
    table, total = read_scoring_input(run.spark, source, model), count_videos(run.spark, source)
    with watch(run.heartbeats, total, "evaluate model") as heartbeats:
        return evaluate_model(
            table,
            model,
            entities=config.entity_ids,
            options=options,
            calibration=config.calibration,
            heartbeats=heartbeats,
        )


def _tell_misses(evaluation: Evaluation) -> None:
    if evaluation.n_unpredicted:
        n, n_all = evaluation.n_unpredicted, evaluation.per_entity.num_rows
        note(
            f"{n} of {n_all} entities that label a video are predicted for none: all their "
            "labels count as misses (--entities leaves them out)"
        )


if __name__ == "__main__":
    run_job("evaluate", Config, main)
