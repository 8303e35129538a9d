"""Turn TFRecord shards into a frames or videos table.

reads    --input     glob of TFRecord shards, frame or video level, local or remote
writes   --output    Parquet table, frames or videos, a part a shard; beside the parts
                     _quarantine/ (a table of bad records) and _manifest.json
logs     n_videos, n_bad_records, n_shards, n_converted, n_bytes

    spark-submit jobs/convert_tfrecords.py --input 'yt8m/video/train*.tfrecord' --output videos

With --overwrite, shards that an earlier conversion to the same output read with the same options
keep their parts, unless their SHA-256 has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yt8m_spark.config import option
from yt8m_spark.events import note
from yt8m_spark.formats.record_types import KEYS, Keys
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.manifest import MANIFEST, QUARANTINE
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.conversion import Converted, convert_shards
from yt8m_spark.spark.read_options import ReadOptions, parse_features
from yt8m_spark.spark.tables import estimate_videos


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Turn TFRecord shards into a frames or videos table."""

    input: str = option("glob of TFRecord shards")
    level: Literal["auto", "frame", "video"] = option("what the records are", "auto")
    mode: Literal["failfast", "dropmalformed", "permissive"] = option(
        "a bad record stops the job, is left out, or becomes a row of nulls that says why",
        "failfast",
    )
    features: str | None = option("features to read, rgb:1024,audio:128 (default: all)", None)
    id_key: str | None = option("name of the id in the records (default: id or video_id)", None)
    labels_key: str | None = option("name of the labels in the records (default: labels)", None)
    vocabulary: str | None = option("CSV of the entities that labels may name", None)
    reuse: bool = option("with --overwrite, keep the parts of shards that have not changed", True)

    def options(self) -> ReadOptions:
        """How to read the shards."""
        return ReadOptions(
            path=self.input,
            level=self.level,
            mode=self.mode,
            vocabulary=self.vocabulary,
            features=parse_features(self.features) if self.features else None,
            keys=Keys((self.id_key,) if self.id_key else KEYS.ids, self.labels_key or KEYS.labels),
        )


def main(config: Config) -> JobResult:
    """Read, write, count."""
    options = config.options()
    with open_run("convert_tfrecords", config, [config.input, config.vocabulary]) as run:
        total = estimate_videos(config.input)
        previous = config.output if config.reuse and Path(config.output).is_dir() else None
        with watch(run.heartbeats, total, "convert") as heartbeats:
            converted = convert_shards(
                run.spark, options, run.folder, previous=previous, heartbeats=heartbeats
            )
        run.log_metrics(converted._asdict())
        run.tracked.log_file(str(Path(run.folder) / MANIFEST))
        _tell(converted, config)
    folder = Path(config.output)
    return run.result(
        {
            "table": config.output,
            "quarantine": str(folder / QUARANTINE),
            "manifest": str(folder / MANIFEST),
        }
    )


def _tell(converted: Converted, config: Config) -> None:
    """Say on stderr what a user must know."""
    n_kept = converted.n_shards - converted.n_converted
    if n_kept:
        note(f"{n_kept} of {converted.n_shards} shards had not changed")
    if converted.n_bad_records:
        place = Path(config.output) / QUARANTINE
        note(f"{converted.n_bad_records} bad records, listed in {place}")


if __name__ == "__main__":
    run_job("convert_tfrecords", Config, main)
