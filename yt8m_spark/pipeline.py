"""The whole line for several recipes: videos, whitening, features, models, evaluations.

Stages that recipes share are made once. Everything is laid in one folder:
``codebook`` (for recipes on VLAD and Fisher vectors), ``videos/{train,test}``,
``whitening/<statistics>``, ``features/<statistics>/{train,test}``,
``models/<recipe>`` and ``evaluation/<recipe>`` (`yt8m_spark.evaluation_report`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession

from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.frame_codebook import CodebookOptions
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.core.whitening_options import WhiteningOptions
from yt8m_spark.errors import InputError
from yt8m_spark.evaluation_report import EvaluationReport, save_evaluation
from yt8m_spark.formats.vocabulary_details import read_vocabulary_details
from yt8m_spark.network_config import NetworkConfig
from yt8m_spark.network_training import NetworkTask, TrainedNetwork, train_network
from yt8m_spark.pipeline_encodings import codebook_methods, fit_recipe_codebooks
from yt8m_spark.pipeline_whitening import reduced
from yt8m_spark.progress import step, watch
from yt8m_spark.recipes import FRAMES, Recipe
from yt8m_spark.spark.evaluation import Evaluation
from yt8m_spark.spark.frame_sampling import frame_options, mark_frames, sample_frames
from yt8m_spark.spark.prior import evaluate_prior
from yt8m_spark.spark.provenance import mark_features, origin_of
from yt8m_spark.spark.scoring import evaluate_model
from yt8m_spark.spark.shards import label_counts
from yt8m_spark.spark.tables import count_videos, is_frames_table, read_input, read_table
from yt8m_spark.spark.training import Extras, Trained, TrainingData, prepare_shards, train_entities
from yt8m_spark.spark.video_tables import PlannedVideos, check_same_lists, plan_videos
from yt8m_spark.spark.whitening import column_widths, fit_columns, normalize_videos
from yt8m_spark.tracking import TrackedRun
from yt8m_spark.whitening_files import save_whitening
from yt8m_spark.whitening_plot import EXPLAINED_VARIANCE, draw_explained_variance

__all__ = ["Pipeline", "RecipeOptions"]

SPLITS = ("train", "test")


class RecipeOptions(NamedTuple):
    """What all recipes of a run have in common."""

    features: tuple[str, ...] = ()  # feature lists; all there are if empty
    whitening: WhiteningOptions = WhiteningOptions()
    n_experts: int = 2
    training: TrainingOptions = TrainingOptions()
    shards: str = "float32"  # how training shards store features
    extras: Callable[[TrainingData], Extras] = lambda _: Extras()
    block_size: int | None = None
    vocabulary: str | None = None
    n_frames: int = 20  # of a video, for classifiers of frames (§4.1.1)
    evaluation: EvaluationOptions = EvaluationOptions()
    networks: NetworkConfig = NetworkConfig()
    codebooks: CodebookOptions = CodebookOptions()
    encoding_components: int = 1024  # that encodings are reduced to, as other features are (§4.2)


class Pipeline:
    """Runs recipes in ``folder``, which all Spark tasks must see."""

    def __init__(self, spark: SparkSession, folder: str, options: RecipeOptions) -> None:
        self._spark = spark
        self._folder = Path(folder)
        self._options = options
        self._feature_lists: list[str] = []
        self._codebook: str | None = None
        self._sources: dict[str, str] = {}
        self._counts: dict[int, int] = {}  # training videos of each entity
        self._kept: dict[str, tuple[WhiteningOptions, int]] = {}  # by feature set: `reduced`

    def make_videos(self, sources: dict[str, str], recipes: Sequence[Recipe]) -> None:
        """Lay out the videos tables of ``sources``, a pattern each for "train" and "test".

        Raises
        ------
        InputError
            If a source cannot be read, the two have different features, they are video-level and a
            recipe needs the frames, or a recipe is to keep more components than there can be.
        """
        of_videos = [recipe.statistics for recipe in recipes if not recipe.of_frames]
        statistics = list(dict.fromkeys(chain.from_iterable(of_videos))) or ["mean"]
        self._sources = sources
        # All first: a slip in the second should not wait for the first.
        encoded = bool(codebook_methods(recipes))
        if encoded or len(of_videos) < len(recipes):
            for source in sources.values():
                self._frames(source)
        if encoded:
            self._codebook = fit_recipe_codebooks(
                self._frames(sources["train"]),
                recipes,
                self._options.features,
                self.path("codebook"),
                options=self._options.codebooks,
                heartbeats=self.path("work", "heartbeats"),
                n_videos=count_videos(self._spark, sources["train"]),
            )
        planned = {split: self._plan(sources[split], statistics) for split in SPLITS}
        check_same_lists(planned, sources)
        self._feature_lists = planned["train"].lists
        for split, videos in planned.items():
            total = count_videos(self._spark, sources[split])
            with self._watch(f"{split}: video features", total) as heartbeats:
                videos.write(self.path("videos", split), heartbeats)
        for recipe in recipes:  # before any of them trains for hours
            if not recipe.of_frames and recipe.feature_set not in self._kept:
                self._kept[recipe.feature_set] = self._reduced(recipe)
        entities, counts = label_counts(self._table("videos", "train").select("labels"))
        self._counts = dict(zip(entities.tolist(), counts.tolist(), strict=True))

    def make_features(self, recipe: Recipe) -> float:
        """Whiten the features of ``recipe``, or sample its frames; share of their variance kept."""
        if recipe.of_frames:
            self._sample_frames()
            return 1.0
        columns = recipe.columns(self._feature_lists)
        whitening_folder = self.path("whitening", recipe.feature_set)
        videos = {split: self._table("videos", split) for split in SPLITS}
        kept, memory = self._kept[recipe.feature_set]
        counts = {split: table.count() for split, table in videos.items()}
        with self._watch(f"whiten {recipe.feature_set}", counts["train"]) as heartbeats:
            whitening, fitted = fit_columns(
                videos["train"],
                columns,
                **kept._asdict(),
                memory=memory,
                work=self.path("work", "tiles"),
                heartbeats=heartbeats,
                stage=step,
            )
        save_whitening(whitening_folder, whitening, columns, fitted.widths)
        if whitening.method != "none":
            draw_explained_variance(
                whitening.spectrum,
                whitening.total_variance,
                whitening.n_components,
                str(Path(whitening_folder) / EXPLAINED_VARIANCE),
            )
        for split in SPLITS:
            with self._watch(f"{split}: {recipe.feature_set}", counts[split]) as heartbeats:
                features = normalize_videos(videos[split], whitening_folder, heartbeats=heartbeats)
                features.write.parquet(self.path("features", recipe.feature_set, split))
            mark_features(self.path("features", recipe.feature_set, split), whitening_folder)
        return whitening.explained_variance_ratio

    def train(self, recipe: Recipe) -> Trained:
        """Train the model of ``recipe``."""
        shared = self.path("work", recipe.feature_set)
        features = self.path("features", recipe.feature_set, "train")
        options = self._options
        data = prepare_shards(
            self._table("features", recipe.feature_set, "train"),
            shared,
            seed=options.training.seed,
            dtype=options.shards,
        )
        return train_entities(
            self._spark,
            data,
            self.path("work", recipe.name),
            self.path("models", recipe.name),
            loss=recipe.loss,
            n_experts=options.n_experts,
            options=options.training,
            block_size=options.block_size,
            extras=options.extras(data),
            description={"recipe": recipe.name, **origin_of(features)},
        )

    def train_network(self, recipe: Recipe, tracked: TrackedRun) -> TrainedNetwork:
        """Train the network of ``recipe`` from the frames, its figures by step in ``tracked``."""
        config = self._options.networks
        if not config.features:
            config = replace(config, features=self._options.features)
        work = self.path("work", recipe.name)
        Path(work).mkdir(parents=True)
        task = NetworkTask(
            recipe.network, config, self._sources["train"], vocabulary=self._options.vocabulary
        )
        return train_network(self._spark, tracked, task, work, self.path("models", recipe.name))

    def evaluate(self, recipe: Recipe) -> EvaluationReport:
        """Evaluate the model of ``recipe`` on the test videos."""
        if recipe.of_frames:
            test, total = self._frames(self._sources["test"]), self._table("videos", "test").count()
        else:
            test = self._table("features", recipe.feature_set, "test")
            total = test.count()
        with self._watch(f"evaluate {recipe.name}", total) as heartbeats:
            evaluation = evaluate_model(
                test,
                self.path("models", recipe.name),
                options=self._options.evaluation,
                heartbeats=heartbeats,
            )
        return self._save(recipe.name, evaluation)

    def evaluate_majority(self) -> EvaluationReport:
        """Evaluate what looks at no video: every entity scored by how common it is."""
        with step("evaluate the majority baseline"):
            n_videos = self._table("videos", "train").count()
            shares = {entity: count / n_videos for entity, count in self._counts.items()}
            evaluation = evaluate_prior(
                self._table("videos", "test"), shares, options=self._options.evaluation
            )
        return self._save("majority", evaluation)

    def path(self, *parts: str) -> str:
        """Where something of the run stands."""
        return str(self._folder.joinpath(*parts))

    def clean_up(self, recipe: Recipe | None = None) -> None:
        """Remove what only the training of ``recipe`` needed, or of all of them."""
        work = self.path("work") if recipe is None else self.path("work", recipe.name)
        shutil.rmtree(work, ignore_errors=True)

    def _reduced(self, recipe: Recipe) -> tuple[WhiteningOptions, int]:
        """What is kept of the features of ``recipe``, and the bytes that finding it may take."""
        columns = recipe.columns(self._feature_lists)
        width = sum(column_widths(self._table("videos", "train"), columns))
        options = self._options
        return reduced(options.whitening, recipe, width, options.encoding_components)

    def _sample_frames(self) -> None:
        """Lay out a features table of random frames of the training videos (§4.1.1)."""
        options = self._options
        frames = self._frames(self._sources["train"])
        chosen = frame_options(
            frames, options.features, n_frames=options.n_frames, seed=options.training.seed
        )
        folder = self.path("features", FRAMES, "train")
        total = self._table("videos", "train").count()
        with self._watch("train: frames", total) as heartbeats:
            sample_frames(frames, chosen, heartbeats=heartbeats).write.parquet(folder)
        mark_frames(folder, chosen)

    def _frames(self, source: str) -> DataFrame:
        """Frames table of ``source``; refuses one that has none."""
        frames = read_input(self._spark, source, level="frame", vocabulary=self._options.vocabulary)
        if not is_frames_table(frames):
            raise InputError(
                "a recipe on frames needs frame-level records",
                where=source,
                found=f"columns {', '.join(frames.columns)}",
            )
        return frames

    def _plan(self, source: str, statistics: Sequence[str]) -> PlannedVideos:
        options = self._options
        return plan_videos(
            self._spark,
            source,
            statistics,
            options.features,
            vocabulary=options.vocabulary,
            codebook=self._codebook,
        )

    def _watch(self, label: str, total: int | None) -> AbstractContextManager[str]:
        """Progress bar of a stage whose tasks count ``total`` videos."""
        return watch(self.path("work", "heartbeats"), total, label)

    def _save(self, name: str, evaluation: Evaluation) -> EvaluationReport:
        given = self._options.vocabulary
        return save_evaluation(
            self.path("evaluation", name),
            evaluation,
            read_vocabulary_details(given) if given else None,
            frequencies=self._counts,
        )

    def _table(self, *parts: str) -> DataFrame:
        return read_table(self._spark, self.path(*parts))
