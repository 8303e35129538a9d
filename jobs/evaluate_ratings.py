"""Evaluate machine labels and models by what human raters saw (§3.5, §5.2.1, Table 4).

reads    --ratings       table or CSV: video_id, entity, rater, rating (yes or no)
         --labels        videos or features table: the machine labels of these videos
         --predictions   name=TABLE,... and/or
         --models        name=MODEL,... with --input, what the models score
         --vocabulary    CSV of the entities that can be rated
writes   --output        folder: metrics.json, ratings.parquet (majority), report.md
logs     label_precision, label_recall, fleiss_kappa, <name>.human.*, <name>.machine.*, spearman_*

    spark-submit jobs/evaluate_ratings.py --ratings ratings.csv --labels videos \
        --predictions logistic=a,moe=b --output rated
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path

from yt8m_spark.config import option
from yt8m_spark.events import note
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.named_paths import named_paths
from yt8m_spark.progress import step
from yt8m_spark.ratings_report import rating_figures, rating_page, save_figures
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark import ratings as rated
from yt8m_spark.spark.evaluation import evaluate_predictions
from yt8m_spark.spark.scoring import evaluate_model
from yt8m_spark.spark.scoring_input import read_scoring_input
from yt8m_spark.spark.tables import read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Evaluate machine labels and models by what human raters saw."""

    ratings: str = option("ratings, a table or CSV: video_id, entity, rater, rating")
    labels: str = option("videos or features table with the machine labels")
    predictions: tuple[str, ...] = option("predictions tables as name=TABLE,...", ())
    models: tuple[str, ...] = option("models as name=MODEL,..., scored on --input", ())
    input: str | None = option("features or frames table that holds the rated videos", None)
    vocabulary: str | None = option("CSV of the entities that can be rated", None)

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        if bool(self.models) != (self.input is not None):
            raise ValueError("--models and --input go together: one is given alone")
        named_paths([*self.predictions, *self.models])


def main(config: Config) -> JobResult:
    """Take the majority, hold labels and models against it."""
    predictions, models = named_paths(config.predictions), named_paths(config.models)
    paths = [*predictions.values(), *models.values()]
    inputs = [config.ratings, config.labels, config.input, config.vocabulary, *paths]
    with open_run("evaluate_ratings", config, inputs) as run:
        known = read_vocabulary(config.vocabulary).entities if config.vocabulary else None
        stored = f"{run.folder}/ratings.parquet"
        with step("take the majority"):
            ratings = rated.read_ratings(run.spark, config.ratings, known)
            rated.majority_ratings(ratings).write.mode("overwrite").parquet(stored)
        majority = read_table(run.spark, stored)
        labelled = read_table(run.spark, config.labels)
        machine = rated.machine_labels(majority, labelled, config.labels)
        truths = rated.human_labels(majority), machine
        found = {}
        for name, path in predictions.items():
            with step(f"evaluate {name}"):
                table = read_table(run.spark, path)
                found[name] = rated.evaluate_rated(table, truths, path, evaluate_predictions)
        for name, path in models.items():
            with step(f"score and evaluate {name}"):
                source, evaluate = str(config.input), partial(evaluate_model, model=path)
                table = read_scoring_input(run.spark, source, path)
                found[name] = rated.evaluate_rated(table, truths, source, evaluate)
        quality = rated.label_quality(majority, machine)
        figures = rating_figures(quality, rated.rater_agreement(majority), found)
        page = rating_page(figures, found)
        save_figures(Path(run.folder), figures, page)
        note("\n" + page)
        run.log_metrics({name: value for name, value in figures.items() if isfinite(value)})
        run.tracked.log_text(page, "report.md")
    return run.result({"evaluation": config.output})


if __name__ == "__main__":
    run_job("evaluate_ratings", Config, main)
