"""Build the explorer: one page to search entities, verticals, videos and mistakes (paper, Fig. 1).

reads    --vocabulary       CSV of the entities, their names, counts and verticals
         --predictions      predictions table, or
         --input --model    features table and model folder: scored here; a --model beside
                            --predictions tells which entities are near each other
         --evaluation       folder of evaluate; whatever is in it
writes   --output           folder: index.html, all in one file, and data/*.json (the same data)
logs     n_videos, n_shown_videos, n_entities; page and data under "explorer"

    spark-submit jobs/build_explorer.py --vocabulary vocabulary.csv --predictions predictions \
        --model model --evaluation evaluation --output explorer
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyspark.sql import DataFrame

from yt8m_spark.config import option
from yt8m_spark.explorer.data import Explored, Nearest, nearest_of_table
from yt8m_spark.explorer.evaluation import no_evaluation, read_evaluation
from yt8m_spark.explorer.nearest import nearest_entities
from yt8m_spark.explorer.page import PAGE, write_explorer
from yt8m_spark.explorer.vocabulary import read_entity_texts
from yt8m_spark.formats.vocabulary_details import read_vocabulary_details
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import step, watch
from yt8m_spark.run import JobConfig, Run, open_run
from yt8m_spark.scorer import FIRST, check_model, is_network, is_stack, load_scorer
from yt8m_spark.spark.explorer import choose_videos, shown_predictions, similar_labels
from yt8m_spark.spark.scoring import predict
from yt8m_spark.spark.scoring_input import read_scoring_input
from yt8m_spark.spark.tables import count_videos, read_table

_SOURCES = ("vocabulary", "predictions", "input", "model", "evaluation")
_NEAREST = 12  # entities beside an entity


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Build the explorer: one page to search entities, verticals, videos and mistakes."""

    vocabulary: str = option("CSV of the entities: names, counts, verticals, descriptions")
    predictions: str | None = option("predictions table", None)
    input: str | None = option("features table to score, instead of --predictions", None)
    model: str | None = option("model folder: scores --input, tells near entities", None)
    evaluation: str | None = option("folder of evaluate: figures, curves, confusions", None)
    max_videos: int = option("videos on the page", 10_000)
    top_k: int = option("predictions of each video", 20)
    seed: int = option("of the sample of videos", 0)
    video_url: str | None = option("where links to videos lead: https://host/{id}", None)
    title: str = option("title of the page", "YouTube-8M explorer")

    def __post_init__(self) -> None:
        """Refuse options that contradict each other or are out of range."""
        if (self.predictions is None) == (self.input is None):
            raise ValueError("give either --predictions, or --input and --model")
        if self.input is not None and self.model is None:
            raise ValueError("--input needs --model: one is given alone")
        for name in ("max_videos", "top_k"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        url = self.video_url
        if url is not None and not (url.startswith(("http://", "https://")) and "{id}" in url):
            raise ValueError(f"video_url must be of http or https and hold {{id}}, got {url}")


def main(config: Config) -> JobResult:
    """Read, choose, write the page."""
    sources = {name: path for name in _SOURCES if (path := getattr(config, name)) is not None}
    with open_run("build_explorer", config, list(sources.values())) as run:
        explored = _explore(run, config, sources)
        with step("write the page"):
            paths = write_explorer(run.folder, explored)
        for path in paths:
            inside = Path(path).parent.relative_to(run.folder)
            run.tracked.log_file(path, str("explorer" / inside))
        run.log_metrics(
            {
                "n_videos": explored.shown.n_videos,
                "n_shown_videos": explored.shown.videos.num_rows,
                "n_entities": len(explored.vocabulary.entities),
            }
        )
    return run.result({"explorer": config.output, "page": str(Path(config.output) / PAGE)})


def _explore(run: Run, config: Config, sources: dict[str, str]) -> Explored:
    """All that the page tells of."""
    vocabulary = read_vocabulary_details(config.vocabulary)
    evaluation = read_evaluation(config.evaluation) if config.evaluation else no_evaluation()
    if config.model is not None:
        check_model(config.model)
    predictions, name = _predictions(run, config)
    with step("choose videos"):
        shown, n_videos = shown_predictions(predictions, config.top_k, vocabulary.entities, name)
        chosen = choose_videos(shown, n_videos, max_videos=config.max_videos, seed=config.seed)
    with step("compare entities"):
        nearest, nearest_by = _nearest(shown, config.model)
    shutil.rmtree(_scored(run), ignore_errors=True)
    return Explored(
        title=config.title,
        sources=sources,
        vocabulary=vocabulary,
        texts=read_entity_texts(config.vocabulary),
        shown=chosen,
        nearest=nearest,
        nearest_by=nearest_by,
        top_k=config.top_k,
        evaluation=evaluation,
        video_url=config.video_url,
    )


def _predictions(run: Run, config: Config) -> tuple[DataFrame, str]:
    """Predictions table, given or made, and what to call it."""
    if config.predictions is not None:
        return read_table(run.spark, config.predictions), config.predictions
    source, model = str(config.input), str(config.model)
    table, total = read_scoring_input(run.spark, source, model), count_videos(run.spark, source)
    with watch(run.heartbeats, total, "score videos") as heartbeats:
        scored = predict(table, model, config.top_k, heartbeats=heartbeats)
        scored.write.mode("overwrite").parquet(_scored(run))
    return read_table(run.spark, _scored(run)), f"scores of {model} on {source}"


def _scored(run: Run) -> str:
    """Where the job keeps predictions while it works; they are no part of the output."""
    return str(Path(run.folder) / "_predictions")


def _nearest(shown: DataFrame, model: str | None) -> tuple[Nearest, Literal["weights", "labels"]]:
    """Entities near each, and by what: an entity's own weights, else the videos labelled alike.

    The entities of a network share all weights but those of its last layer; those of a stack have
    weights of features in its first stage.
    """
    if model is not None and not is_network(model):
        own = str(Path(model) / FIRST) if is_stack(model) else model
        return nearest_entities(load_scorer(own), _NEAREST), "weights"
    return nearest_of_table(similar_labels(shown, _NEAREST)), "labels"


if __name__ == "__main__":
    run_job("build_explorer", Config, main)
