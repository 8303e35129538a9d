"""Run recipes from TFRecords to a table like the paper's Table 3.

reads    --train --test   globs of TFRecord shards (frame or video level), or tables
writes   --output         folder: codebook, videos, whitening, features, models, evaluation,
                          table.txt and a comparison of all, comparison/comparison.html
logs     one MLflow parent run with the table, one child run a recipe with its metrics, loss by
         pass and evaluation; the models, with --log-models

    spark-submit jobs/run_pipeline.py --train 'yt8m/frame/train*.tfrecord' \
        --test 'yt8m/frame/validate*.tfrecord' --output results
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yt8m_spark.config import describe_config, option
from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.frame_codebook import CodebookOptions
from yt8m_spark.core.label_noise import check_label_noise
from yt8m_spark.core.whitening_options import WhiteningOptions
from yt8m_spark.evaluation_log import log_evaluation
from yt8m_spark.evaluation_report import EvaluationReport
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.network_config import check_torch, load_networks
from yt8m_spark.pipeline import Pipeline, RecipeOptions
from yt8m_spark.pipeline_report import report_recipes
from yt8m_spark.progress import part
from yt8m_spark.pyfunc import log_entity_model, log_network_model
from yt8m_spark.recipes import DEFAULT_RECIPES, Recipe, parse_recipe
from yt8m_spark.run import Run, child_run, open_run
from yt8m_spark.tracking import TrackedRun
from yt8m_spark.training_config import TrainingConfig
from yt8m_spark.training_metrics import follow_training, log_losses
from yt8m_spark.whitening_plot import EXPLAINED_VARIANCE

_MAJORITY = "majority"  # the baseline that looks at no video


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Run recipes from TFRecords to a table like the paper's Table 3."""

    train: str = option("glob of TFRecord shards, or table, to train on")
    test: str = option("glob of TFRecord shards, or table, to test on")
    recipes: tuple[str, ...] = option(
        "<loss>_<statistics> (vlad and fisher too) or <loss>_frames, dbof, lstm or mean_network",
        DEFAULT_RECIPES,
    )
    networks: str | None = option(
        "TOML file of options of train_deep: epochs, batch_size, ... of recipes on networks", None
    )
    features: tuple[str, ...] = option("feature lists (default: all there are)", ())
    n_components: int | None = option(
        "PCA components kept (default: all; 1,024 of over 2,896 features)", None
    )
    explained_variance: float | None = option(
        "instead: keep the fewest components that hold this share of the variance", None
    )
    ridge: float = option("added to each variance, as a share of the mean one; ours", 10.0)
    whitening: Literal["pca", "zca", "none"] = option(
        "components, components rotated back to features, or only the mean subtracted", "pca"
    )
    n_frames: int = option("frames of a video that <loss>_frames learns from (§4.1.1)", 20)
    n_centres: int = option("centres of the codebooks of vlad and fisher (§4.1.2)", 64)
    sample: int = option("training frames of each list to fit codebooks on", 200_000)
    n_dimensions: int | None = option(
        "reduce frames to so many by a PCA before vlad and fisher (default: as they are)", None
    )
    power: float = option("exponent of the power normalisation of vlad and fisher", 0.5)
    encoding_components: int = option(
        "PCA components kept of vlad and fisher where neither option above says it (§4.2)", 1024
    )
    bootstrap: int = option("replicates for 95 % intervals, at least 40; 0 for none", 0)
    log_models: bool = option("log each model to MLflow as a pyfunc, with its whitening", False)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        if not self.recipes:
            raise ValueError("recipes must name at least one")
        for name in self.recipes:
            recipe = parse_recipe(name)
            if not recipe.network:
                check_label_noise(recipe.loss, self.label_noise)
        if self.n_frames < 1:
            raise ValueError(f"n_frames must be at least 1, got {self.n_frames}")
        if self.encoding_components < 1:
            raise ValueError(
                f"encoding_components must be at least 1, got {self.encoding_components}"
            )
        self.options().whitening.check()
        self.options().codebooks.check()

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
            evaluation=EvaluationOptions(n_replicates=self.bootstrap),
            networks=load_networks(self.networks),
            codebooks=CodebookOptions(
                self.n_centres, self.sample, self.n_dimensions, self.power, seed=self.seed
            ),
            encoding_components=self.encoding_components,
        )


def main(config: Config) -> JobResult:
    """Run every recipe in a child run of its own; print and log the table."""
    recipes = [parse_recipe(name) for name in dict.fromkeys(config.recipes)]
    if any(recipe.network for recipe in recipes):
        check_torch()
    inputs = [config.train, config.test, config.vocabulary]
    with open_run("run_pipeline", config, inputs) as run:
        pipeline = Pipeline(run.spark, run.folder, config.options())
        pipeline.make_videos({"train": config.train, "test": config.test}, recipes)
        reports = {_MAJORITY: _majority(run, pipeline, config)}
        made: set[str] = set()
        for recipe in recipes:
            if not recipe.network and recipe.feature_set not in made:
                pipeline.make_features(recipe)
                _log_plot(run, recipe)
                made.add(recipe.feature_set)
            reports[recipe.name] = _run_recipe(run, pipeline, recipe, config)
        pipeline.clean_up()
        report_recipes(run, reports, baseline=_MAJORITY)
    files = {"table": "table.txt", "comparison": "comparison/comparison.html"}
    outputs = {name: str(Path(config.output) / file) for name, file in files.items()}
    return run.result({"results": config.output, **outputs})


def _log_plot(run: Run, recipe: Recipe) -> None:
    """Log how much of the variance the components of a whitening hold, if it has any."""
    folder = f"whitening/{recipe.feature_set}"
    plot = Path(run.folder) / folder / EXPLAINED_VARIANCE
    if plot.exists():
        run.tracked.log_file(str(plot), folder)


def _run_recipe(run: Run, pipeline: Pipeline, recipe: Recipe, config: Config) -> EvaluationReport:
    params = describe_config(config) | {
        "recipe": recipe.name,
        "loss": recipe.loss,
        "feature_set": recipe.feature_set,
    }
    model = pipeline.path("models", recipe.name)
    with child_run(run, config, recipe.name, params) as child:
        figures = _train(child, pipeline, recipe, model)
        child.log_metrics({f"train_{name}": value for name, value in figures.items()})
        pipeline.clean_up(recipe)
        report = pipeline.evaluate(recipe)
        log_evaluation(child, report, pipeline.path("evaluation", recipe.name))
        if config.log_models and recipe.network:
            log_network_model(child, model)
        elif config.log_models:
            whitening = pipeline.path("whitening", recipe.feature_set)
            log_entity_model(child, model, whitening=None if recipe.of_frames else whitening)
    return report


def _train(child: TrackedRun, pipeline: Pipeline, recipe: Recipe, model: str) -> dict[str, float]:
    """Train the model of ``recipe``; figures of the training."""
    if recipe.network:
        return pipeline.train_network(recipe, child).figures()
    with part(recipe.name), follow_training(child, pipeline.path("work", recipe.name)):
        trained = pipeline.train(recipe)
    log_losses(child, model)
    return trained._asdict()


def _majority(run: Run, pipeline: Pipeline, config: Config) -> EvaluationReport:
    with child_run(run, config, _MAJORITY, {"recipe": _MAJORITY}) as child:
        report = pipeline.evaluate_majority()
        log_evaluation(child, report, pipeline.path("evaluation", _MAJORITY))
    return report


if __name__ == "__main__":
    run_job("run_pipeline", Config, main)
