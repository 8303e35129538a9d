"""Profile a data set before training on it (paper §3): sizes, entities, duplicates, leakage.

reads    --input --validate --test   shards or tables of either level; --vocabulary a CSV
writes   --output                    folder: index.html, profile.json, entities.parquet, *.png,
                                     facts (Parquet: video_id, split, labels, n_frames, flags)
logs     n_videos, n_shared_ids, <split>.*; the page and the pictures

    spark-submit jobs/profile_dataset.py --input 'yt8m/video/*.tfrecord' --output profile
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from yt8m_spark.artifacts import save_json
from yt8m_spark.config import option
from yt8m_spark.events import note
from yt8m_spark.formats.vocabulary_details import read_vocabulary_details
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.profile_page import profile_page
from yt8m_spark.profile_plots import save_plots
from yt8m_spark.profile_report import (
    profile_figures,
    profile_json,
    profile_warnings,
    split_rows,
    text_table,
)
from yt8m_spark.progress import step, watch
from yt8m_spark.run import JobConfig, Run, open_run
from yt8m_spark.spark.profile import Profile, profile_videos
from yt8m_spark.spark.splits import Source
from yt8m_spark.spark.tables import count_videos, read_table
from yt8m_spark.spark.video_facts import read_facts


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Profile a data set before training on it: sizes, entities, duplicates, leakage."""

    input: str = option(
        "shards or table of everything, splits being told by names such as train0093.tfrecord; "
        "of train alone if --validate or --test is given"
    )
    validate: str | None = option("shards or table of the validate split", None)
    test: str | None = option("shards or table of the test split", None)
    vocabulary: str | None = option("CSV of the entities, their names and counts", None)


def main(config: Config) -> JobResult:
    """Look at every video once, then count."""
    inputs = [config.input, config.validate, config.test, config.vocabulary]
    with open_run("profile_dataset", config, inputs) as run:
        details = read_vocabulary_details(config.vocabulary) if config.vocabulary else None
        sources = _sources(config)
        totals = [count_videos(run.spark, source.path) for source in sources]
        total = None if None in totals else sum(filter(None, totals))
        with watch(run.heartbeats, total, "read videos") as heartbeats:
            facts = read_facts(run.spark, sources, heartbeats=heartbeats)
            facts.write.mode("overwrite").parquet(f"{run.folder}/facts")
        with step("count"):
            profile = profile_videos(read_table(run.spark, f"{run.folder}/facts"), details)
        _report(run, profile, config)
        run.log_metrics(profile_figures(profile))
    folder = Path(config.output)
    files = {"profile": "profile.json", "entities": "entities.parquet", "page": "index.html"}
    return run.result({name: str(folder / file) for name, file in files.items()})


def _sources(config: Config) -> list[Source]:
    others = {"validate": config.validate, "test": config.test}
    named = [Source(path, split) for split, path in others.items() if path is not None]
    return [Source(config.input, "train" if named else None), *named]


def _report(run: Run, profile: Profile, config: Config) -> None:
    """Write what was found, and tell it."""
    options = ("input", "validate", "test", "vocabulary")
    inputs = {name: path for name in options if (path := getattr(config, name)) is not None}
    folder = Path(run.folder)
    save_json(folder / "profile.json", profile_json(profile, inputs))
    pq.write_table(profile.entities, folder / "entities.parquet")
    plots = save_plots(profile, run.folder)
    (folder / "index.html").write_text(profile_page(profile, plots, inputs), encoding="utf-8")
    for path in (*plots, folder / "index.html"):
        run.tracked.log_file(str(path))
    note("\n" + text_table(split_rows(profile)))
    for line in profile_warnings(profile):
        note(f"warning: {line}")


if __name__ == "__main__":
    run_job("profile_dataset", Config, main)
