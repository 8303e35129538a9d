"""Reduce the frames of every video to mean, standard deviation and top 5 (paper §4.2.2, Eq. 2).

Or to VLAD and Fisher vectors (§4.1.2), by a codebook of fit_frame_codebook.

reads    --input     glob of frame-level TFRecord shards, or a frames table
         --codebook  folder of codebooks, for vlad and fisher
writes   --output    videos table, a column <statistic>_<feature list> of each
logs     n_videos

    spark-submit jobs/aggregate_videos.py --input 'yt8m/frame/train*.tfrecord' --output videos
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yt8m_spark.config import option
from yt8m_spark.core.statistic_names import check_names
from yt8m_spark.errors import InputError
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, Run, open_run
from yt8m_spark.spark.aggregation import write_scan
from yt8m_spark.spark.encodings import check_codebook_option
from yt8m_spark.spark.read_options import ReadOptions, parse_features
from yt8m_spark.spark.scan import plan_scan
from yt8m_spark.spark.schemas import frame_features
from yt8m_spark.spark.statistics import aggregate_videos, frame_widths
from yt8m_spark.spark.tables import count_videos, is_frames_table, is_table, read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Reduce the frames of every video to mean, std and top 5, or to VLAD and Fisher vectors."""

    input: str = option("glob of frame-level TFRecord shards, or a frames table")
    statistics: tuple[str, ...] = option(
        "of mean, std, top5 (Eq. 2), min, max, moment3, top1 .. top100, vlad, fisher",
        ("mean", "std", "top5"),
    )
    codebook: str | None = option("folder of fit_frame_codebook, for vlad and fisher", None)
    features: tuple[str, ...] = option(
        "feature lists, with widths if you know them: rgb:1024,audio:128 (default: all)", ()
    )
    pca: str | None = option(
        "frame PCA: folder of mean, eigenvals, eigenvecs .npy, or VGGish's .npz", None
    )
    space: Literal["quantized", "relu"] = option(
        "take statistics of dequantized frames, or of ReLU activations rebuilt with --pca (§5.2)",
        "quantized",
    )
    unbiased: bool = option(
        "decode frames without the 1/128 that the release's decoder adds", False
    )
    mode: Literal["failfast", "dropmalformed"] = option(
        "a bad record of a shard stops the job, or is left out", "failfast"
    )
    vocabulary: str | None = option("CSV of the entities that labels may name", None)

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        check_names(self.statistics)
        check_codebook_option(self.statistics, self.codebook)
        if (self.space == "relu") != (self.pca is not None):
            raise ValueError("--space relu and --pca DIR go together: one is given alone")


def main(config: Config) -> JobResult:
    """Read, aggregate, write."""
    _check_options(config)
    inputs = [config.input, config.pca, config.vocabulary, config.codebook]
    with open_run("aggregate_videos", config, inputs) as run:
        total = count_videos(run.spark, config.input)
        with watch(run.heartbeats, total, "aggregate videos") as heartbeats:
            aggregate = _aggregate_table if is_table(config.input) else _aggregate_shards
            run.log_metrics({"n_videos": aggregate(run, config, heartbeats)})
    return run.result({"videos": config.output})


def _check_options(config: Config) -> None:
    """Refuse options that only shards have: a table would not heed them, silently."""
    given = {"mode": config.mode != "failfast", "vocabulary": config.vocabulary is not None}
    for name in (name for name, is_given in given.items() if is_given and is_table(config.input)):
        raise InputError(f"option --{name} is for shards", where=config.input, found="a table")


def _aggregate_shards(run: Run, config: Config, heartbeats: str) -> int:
    """Shards to statistics in one pass; returns the number of videos."""
    options = ReadOptions(
        config.input,
        mode=config.mode,
        vocabulary=config.vocabulary,
        features=parse_features(",".join(config.features)) if config.features else None,
        statistics=config.statistics,
        pca=config.pca,
        unbiased=config.unbiased,
        codebook=config.codebook,
    )
    return write_scan(run.spark, plan_scan(options), run.folder, heartbeats=heartbeats)


def _aggregate_table(run: Run, config: Config, heartbeats: str) -> int:
    """Frames table to statistics; returns the number of videos."""
    frames = read_table(run.spark, config.input)
    if not is_frames_table(frames):
        raise InputError("no frames", where=config.input, expected="frame-level records")
    given = parse_features(",".join(config.features or frame_features(frames.schema)))
    told = frame_widths(frames, [name for name, width in given.items() if not width])
    features = {name: width or told[name] for name, width in given.items()}
    videos = aggregate_videos(
        frames,
        features,
        config.statistics,
        pca_folder=config.pca,
        unbiased=config.unbiased,
        codebook=config.codebook,
        heartbeats=heartbeats,
    )
    videos.write.mode("overwrite").parquet(run.folder)
    return read_table(run.spark, run.folder).count()


if __name__ == "__main__":
    run_job("aggregate_videos", Config, main)
