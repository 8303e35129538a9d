"""Evaluate a list of segments by the metric of the 2019 challenge, MAP@K.

reads    --submission    CSV of segments (Class,Segments), or
         --predictions   predictions table with a column segment_start_time int
         --input         frames table, or frame-level TFRecord shards, with rated segments
         --entities      CSV of the entities that count (segment_label_ids.csv)
writes   --output        folder: metrics.json, per_entity.parquet, rated (the ratings, a table)
logs     segment_map_at_k, n_rated_segments, n_entities; a table of entities

    spark-submit jobs/evaluate_segments.py --submission segments.csv \
        --input 'yt8m/frame/validate*.tfrecord' --output segment_evaluation
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from yt8m_spark.artifacts import save_json
from yt8m_spark.config import option
from yt8m_spark.core.segments import AT_K
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import step
from yt8m_spark.run import JobConfig, Run, open_run
from yt8m_spark.spark.segments import evaluate_segments, rank_segments, read_rated_segments
from yt8m_spark.spark.submissions import read_segments
from yt8m_spark.spark.tables import read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Evaluate a list of segments by the metric of the 2019 challenge, MAP@K."""

    submission: str | None = option("CSV of segments", None)
    predictions: str | None = option("predictions table of segments, instead of a CSV", None)
    input: str = option("frames table or frame-level shards, with segment_labels")
    at_k: int = option("segments of each entity that count, rated or not", AT_K)
    entities: str | None = option("CSV of the entities to evaluate; default: all rated", None)

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        if (self.submission is None) == (self.predictions is None):
            raise ValueError("give either --submission or --predictions")
        if self.at_k < 1:
            raise ValueError(f"at_k must be at least 1, got {self.at_k}")


def main(config: Config) -> JobResult:
    """Read the ratings, then look where the list has them."""
    inputs = [config.submission, config.predictions, config.input, config.entities]
    with open_run("evaluate_segments", config, inputs) as run:
        vocabulary = read_vocabulary(config.entities) if config.entities else None
        only = None if vocabulary is None else vocabulary.entities
        with step("read rated segments"):
            rated = read_rated_segments(run.spark, config.input)
            rated.write.mode("overwrite").parquet(f"{run.folder}/rated")
        with step("evaluate segments"):
            rated = read_table(run.spark, f"{run.folder}/rated")
            found = evaluate_segments(_ranked(run, config), rated, at_k=config.at_k, only=only)
        table = found.per_entity
        if vocabulary is not None and vocabulary.names:
            names = [vocabulary.names.get(e, "") for e in table["entity"].to_pylist()]
            table = table.add_column(1, "name", pa.array(names, pa.string()))
        n_entities = table.num_rows - table["average_precision"].null_count
        metrics = {
            "segment_map_at_k": found.map_at_k,
            "at_k": config.at_k,
            "n_rated_segments": found.n_rated,
            "n_entities": n_entities,
        }
        save_json(Path(run.folder) / "metrics.json", metrics)
        pq.write_table(table, Path(run.folder) / "per_entity.parquet")
        run.log_metrics(metrics)
        run.tracked.log_table(table.to_pandas(), "per_entity.json")
    return run.result({"evaluation": config.output})


def _ranked(run: Run, config: Config) -> DataFrame:
    if config.submission is not None:
        return read_segments(run.spark, config.submission)
    return rank_segments(read_table(run.spark, str(config.predictions)), at_most=config.at_k)


if __name__ == "__main__":
    run_job("evaluate_segments", Config, main)
