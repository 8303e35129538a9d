"""Collect videos into a data set with splits (paper §3.2): filters, sample, fixed point.

reads    --candidates   table, CSV or JSON lines: video_id, views, duration (s), topics
         --vocabulary   CSV of the entities; topics are their KnowledgeGraphId or Index
writes   --output       folder: videos (Parquet: video_id, views, duration, labels, split; a folder
                        a split), vocabulary.csv with TrainVideoCount, audit/{videos,repeated}
                        and audit/entities.parquet, statistics.json, report.md, *.png
logs     n_videos, n_entities, hours, mean_labels, n_rounds, <split>.*; the report and the pictures

    spark-submit jobs/build_dataset.py --config conf/paper/build_dataset.toml \
        --candidates candidates --vocabulary vocabulary.csv --output dataset
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from yt8m_spark import dataset_report as report
from yt8m_spark.artifacts import save_json
from yt8m_spark.dataset_build import Built, build_dataset
from yt8m_spark.dataset_config import DatasetConfig
from yt8m_spark.dataset_plots import save_dataset_plots
from yt8m_spark.events import note
from yt8m_spark.formats.vocabulary import write_vocabulary_rows
from yt8m_spark.formats.vocabulary_details import VocabularyDetails, read_vocabulary_details
from yt8m_spark.formats.vocabulary_topics import VocabularyTopics, read_vocabulary_topics
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import step
from yt8m_spark.run import Run, open_run
from yt8m_spark.spark.dataset_facts import dataset_facts, split_sizes
from yt8m_spark.spark.profile import profile_videos
from yt8m_spark.spark.tables import read_table


def main(config: DatasetConfig) -> JobResult:
    """Collect the videos, then count them."""
    with open_run("build_dataset", config, [config.candidates, config.vocabulary]) as run:
        vocabulary = read_vocabulary_topics(config.vocabulary)
        details = read_vocabulary_details(config.vocabulary)
        built = build_dataset(run, config, vocabulary)
        _report(run, config, built, (vocabulary, details))
    files = {"videos": "videos", "vocabulary": "vocabulary.csv", "statistics": "statistics.json"}
    return run.result({name: str(Path(config.output) / file) for name, file in files.items()})


def _report(
    run: Run,
    config: DatasetConfig,
    built: Built,
    known: tuple[VocabularyTopics, VocabularyDetails],
) -> None:
    """Count the videos of the data set, write what was found, and tell it."""
    vocabulary, details = known
    folder = Path(run.folder)
    with step("count"):
        videos = read_table(run.spark, f"{run.folder}/videos")
        sizes = split_sizes(videos)
        profile = profile_videos(dataset_facts(videos), report.kept_details(built, details))
    write_vocabulary_rows(
        str(folder / "vocabulary.csv"), report.vocabulary_rows(built, vocabulary, profile)
    )
    pq.write_table(
        report.entity_audit(built, vocabulary, profile), folder / "audit/entities.parquet"
    )
    figures = report.dataset_figures(built, sizes, profile)
    save_json(folder / "statistics.json", report.dataset_json(config, built, figures))
    page = report.dataset_page(built, sizes, profile)
    (folder / "report.md").write_text(page, encoding="utf-8")
    for path in save_dataset_plots(profile, built.funnel, run.folder):
        run.tracked.log_file(path)
    run.tracked.log_text(page, "report.md")
    run.log_metrics(figures)
    note("\n" + report.dataset_text(built, sizes, profile))


if __name__ == "__main__":
    run_job("build_dataset", DatasetConfig, main)
