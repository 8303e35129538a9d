"""Run recipes from TFRecords to a table like the paper's Table 3.

reads    --train --test   globs of TFRecord shards (frame or video level), or tables
writes   --output         folder: videos, whitening, features, models, evaluation, table.txt
logs     one MLflow parent run with the table, one child run a recipe with its metrics

    spark-submit jobs/run_pipeline.py --train 'yt8m/frame/train*.tfrecord' \
        --test 'yt8m/frame/validate*.tfrecord' --output results
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yt8m_spark.config import describe_config, option
from yt8m_spark.core.whitening_options import WhiteningOptions
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.pipeline import Pipeline, RecipeOptions
from yt8m_spark.recipes import DEFAULT_RECIPES, Recipe, parse_recipe
from yt8m_spark.report import figures_table
from yt8m_spark.run import Run, open_run
from yt8m_spark.spark.evaluation import Evaluation
from yt8m_spark.tracking import tracked_run
from yt8m_spark.training_config import TrainingConfig
from yt8m_spark.whitening_plot import EXPLAINED_VARIANCE


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Run recipes from TFRecords to a table like the paper's Table 3."""

    train: str = option("glob of TFRecord shards, or table, to train on")
    test: str = option("glob of TFRecord shards, or table, to test on")
    recipes: tuple[str, ...] = option(
        "<loss>_<statistics> or <loss>_frames, compared side by side", DEFAULT_RECIPES
    )
    features: tuple[str, ...] = option("feature lists (default: all there are)", ())
    n_components: int | None = option("PCA components kept (default: all)", None)
    explained_variance: float | None = option(
        "instead: keep the fewest components that hold this share of the variance", None
    )
    ridge: float = option("added to each variance, as a share of the mean one; ours", 10.0)
    whitening: Literal["pca", "zca", "none"] = option(
        "components, components rotated back to features, or only the mean subtracted", "pca"
    )
    n_frames: int = option("frames of a video that <loss>_frames learns from (§4.1.1)", 20)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        if not self.recipes:
            raise ValueError("recipes must name at least one")
        for name in self.recipes:
            parse_recipe(name)
        if self.n_frames < 1:
            raise ValueError(f"n_frames must be at least 1, got {self.n_frames}")
        self.options().whitening.check()

    def options(self) -> RecipeOptions:
        """What all recipes have in common."""
        return RecipeOptions(
            features=self.features,
            whitening=WhiteningOptions(
                self.n_components, self.explained_variance, self.ridge, self.whitening
            ),
            n_experts=self.n_experts,
            training=self.training_options(),
            shards=self.shards,
            extras=self.extras,
            block_size=self.block_size,
            vocabulary=self.vocabulary,
            n_frames=self.n_frames,
        )


def main(config: Config) -> JobResult:
    """Run every recipe in a child run of its own; print and log the table."""
    recipes = [parse_recipe(name) for name in dict.fromkeys(config.recipes)]
    inputs = [config.train, config.test, config.vocabulary]
    with open_run("run_pipeline", config, inputs) as run:
        pipeline = Pipeline(run.spark, run.folder, config.options())
        pipeline.make_videos({"train": config.train, "test": config.test}, recipes)
        rows = {"majority": _majority(run, pipeline, config).metrics}
        made: set[str] = set()
        for recipe in recipes:
            if recipe.feature_set not in made:
                pipeline.make_features(recipe)
                _log_plot(run, recipe)
                made.add(recipe.feature_set)
            rows[recipe.name] = _run_recipe(run, pipeline, recipe, config).metrics
        pipeline.clean_up()
        _report(run, rows)
    return run.result({"results": config.output, "table": str(Path(config.output) / "table.txt")})


def _log_plot(run: Run, recipe: Recipe) -> None:
    """Log how much of the variance the components of a whitening hold, if it has any."""
    folder = f"whitening/{recipe.feature_set}"
    plot = Path(run.folder) / folder / EXPLAINED_VARIANCE
    if plot.exists():
        run.tracked.log_file(str(plot), folder)


def _run_recipe(run: Run, pipeline: Pipeline, recipe: Recipe, config: Config) -> Evaluation:
    params = describe_config(config) | {
        "recipe": recipe.name,
        "loss": recipe.loss,
        "feature_set": recipe.feature_set,
    }
    with tracked_run(
        recipe.name,
        params,
        uri=config.tracking_uri,
        experiment=config.experiment,
        parent_run_id=run.tracked.run_id,
    ) as child:
        trained = pipeline.train(recipe)
        evaluation = pipeline.evaluate(recipe)
        child.log_metrics({**evaluation.metrics, **trained._asdict()})
        child.log_table(evaluation.per_entity.to_pandas(), "per_entity.json")
    return evaluation


def _majority(run: Run, pipeline: Pipeline, config: Config) -> Evaluation:
    with tracked_run(
        "majority",
        {"recipe": "majority"},
        uri=config.tracking_uri,
        experiment=config.experiment,
        parent_run_id=run.tracked.run_id,
    ) as child:
        evaluation = pipeline.evaluate_majority()
        child.log_metrics(evaluation.metrics)
    return evaluation


def _report(run: Run, rows: dict[str, dict[str, float]]) -> None:
    """Print the table, save it beside the models and log it."""
    table = figures_table(rows)
    (Path(run.folder) / "table.txt").write_text(table)
    (Path(run.folder) / "table.json").write_text(json.dumps(rows, indent=2) + "\n")
    run.tracked.log_text(table, "table.txt")
    run.log_metrics({f"{name}.{key}": v for name, row in rows.items() for key, v in row.items()})
    print(f"\n{table}", file=sys.stderr)


if __name__ == "__main__":
    run_job("run_pipeline", Config, main)
