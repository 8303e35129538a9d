"""Build a vocabulary of visual entities from a knowledge graph (paper §3.1, Fig. 4, Table 1).

reads    --entities      id, name, types, description, wiki_url
         --types         type, parent, vertical: the hierarchy of types
         --ratings       entity, rater, visualness (1 to 5)
         --videos        video_id, topics
         (each CSV, JSON lines or Parquet, told by name)
writes   --output        folder: vocabulary.csv (YouTube-8M's columns), entities/ and audit/
                         (Parquet), statistics.json, table1.csv, table1.md, *.png
logs     n_candidates, n_entities.<stage>, n_excluded.<reason>, n_entities, n_verticals, ...

    spark-submit jobs/build_vocabulary.py --config conf/paper/build_vocabulary.toml \
        --entities entities.parquet --types types.csv --ratings ratings.csv \
        --videos candidates --output vocabulary
"""

from __future__ import annotations

from pathlib import Path

from yt8m_spark.events import note
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.run import open_run
from yt8m_spark.vocabulary_build import build_vocabulary
from yt8m_spark.vocabulary_config import VocabularyConfig
from yt8m_spark.vocabulary_plots import save_plots
from yt8m_spark.vocabulary_report import (
    stage_table,
    table_1,
    vocabulary_figures,
    vocabulary_warnings,
    write_statistics,
)


def main(config: VocabularyConfig) -> JobResult:
    """Judge every entity by types, raters and videos; write who is in, and why the others not."""
    inputs = [config.entities, *config.types, config.ratings, config.videos]
    with open_run("build_vocabulary", config, inputs) as run:
        built = build_vocabulary(run.spark, config, run.folder, run.heartbeats)
        statistics, counts = built.statistics, built.counts
        warnings = [*built.warnings, *vocabulary_warnings(statistics, counts)]
        folder = Path(run.folder)
        write_statistics(folder, statistics, counts, warnings)
        plots = save_plots(statistics, run.folder)
        for path in (*plots, folder / "statistics.json", folder / "table1.md"):
            run.tracked.log_file(str(path))
        note(f"\n{table_1(statistics)}\n{stage_table(statistics)}")
        for line in warnings:
            note(f"warning: {line}")
        run.log_metrics(vocabulary_figures(statistics, counts))
    output = Path(config.output)
    files = {"vocabulary": "vocabulary.csv", "entities": "entities", "audit": "audit"}
    files |= {"statistics": "statistics.json", "table1": "table1.csv"}
    return run.result({name: str(output / file) for name, file in files.items()})


if __name__ == "__main__":
    run_job("build_vocabulary", VocabularyConfig, main)
