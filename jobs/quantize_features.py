"""Code features as one byte each (paper §3.3), and report what that costs.

reads    --input      videos or features table (or video-level TFRecord shards)
         --codebook   Lloyd-Max codebooks of an earlier run, instead of fitting new ones
writes   --output     the table with its feature columns as binary and, where readers of Parquet
                      pass over them, _codebook/ and _report/ (report.json, distortion.png)
logs     n_videos, bytes before and after, mse and snr_db of each code

    spark-submit jobs/quantize_features.py --input videos --output coded --code lloyd_max
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyspark.sql import DataFrame

from yt8m_spark.config import option
from yt8m_spark.core.codebooks import MAX_LEVELS, Codebook, linear_code
from yt8m_spark.errors import InputError
from yt8m_spark.events import note
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.quantization_report import (
    code_figures,
    figures_text,
    joined,
    sample_note,
    write_report,
)
from yt8m_spark.run import JobConfig, Run, open_run
from yt8m_spark.spark.codebooks import (
    CODEBOOK,
    load_fitted,
    quantize_columns,
    save_codebooks,
)
from yt8m_spark.spark.distortion import FITTED, column_distortions
from yt8m_spark.spark.lloyd_max import N_BINS, fit_codebook
from yt8m_spark.spark.schemas import video_features
from yt8m_spark.spark.tables import count_videos, read_input


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Code features as one byte each, and report what that costs."""

    input: str = option("videos or features table, or glob of video-level TFRecord shards")
    columns: tuple[str, ...] = option("array columns to code (default: all there are)", ())
    code: Literal["lloyd_max", "released", "unbiased"] = option(
        "the paper's optimal levels, the release's writer and reader, or its writer with levels "
        "that have no bias; all three are measured",
        "lloyd_max",
    )
    scope: Literal["dimension", "shared"] = option(
        "fit levels for each feature, or for all", "dimension"
    )
    n_levels: int = option("levels fitted, 2 to 256 (§3.3)", MAX_LEVELS)
    n_bins: int = option("bins of the histograms they are fitted on; ours", N_BINS)
    codebook: str | None = option("folder _codebook of an earlier run: fit none", None)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not 2 <= self.n_levels <= MAX_LEVELS:
            raise ValueError(f"n_levels must be 2 to {MAX_LEVELS}, got {self.n_levels}")
        if self.n_bins < self.n_levels:
            raise ValueError(
                f"n_bins must be at least {self.n_levels} (n_levels), got {self.n_bins}"
            )


def fitted_codebooks(
    run: Run, videos: DataFrame, config: Config, total: int | None
) -> dict[str, Codebook]:
    """Lloyd-Max codebooks of the columns: those given, or new ones."""
    if config.codebook is not None:
        return load_fitted(config.codebook, config.columns)
    columns = tuple(dict.fromkeys(config.columns)) or tuple(video_features(videos.schema))
    if not columns:
        raise InputError("no array column to code", where=config.input)
    twice = None if total is None else 2 * total  # once for the ranges, once for the counts
    with watch(run.heartbeats, twice, "fit levels") as heartbeats:
        return fit_codebook(
            videos,
            columns,
            n_levels=config.n_levels,
            scope=config.scope,
            n_bins=config.n_bins,
            heartbeats=heartbeats,
        )


def main(config: Config) -> JobResult:
    """Read, fit, code, measure."""
    with open_run("quantize_features", config, [config.input, config.codebook]) as run:
        videos = read_input(run.spark, config.input)
        total = count_videos(run.spark, config.input)
        books = fitted_codebooks(run, videos, config, total)
        applied = f"{run.folder}/{CODEBOOK}"
        fitted = applied
        save_codebooks(applied, books)
        if config.code != FITTED:
            fitted = f"{run.folder}/_report/lloyd_max"
            save_codebooks(fitted, books)
            linear = linear_code(unbiased=config.code == "unbiased")
            save_codebooks(applied, dict.fromkeys(books, linear))
        with watch(run.heartbeats, total, "code features") as heartbeats:
            coded = quantize_columns(videos, applied, heartbeats=heartbeats)
            coded.write.mode("append").parquet(run.folder)  # beside the codebook, which tasks read
        with watch(run.heartbeats, total, "measure errors") as heartbeats:
            distortions = column_distortions(videos, fitted, heartbeats=heartbeats)
        run.log_metrics(
            write_report(run.folder, distortions, code=config.code, source=config.input)
        )
        for name in ("report.json", "distortion.png"):
            run.tracked.log_file(f"{run.folder}/_report/{name}")
        text = figures_text(code_figures(joined(distortions)))
        if config.codebook is None:
            text += sample_note(books, int(run.metrics["n_videos"]))
        note(text.removesuffix("\n"))
    outputs = {"codebook": f"{config.output}/{CODEBOOK}", "report": f"{config.output}/_report"}
    return run.result({"table": config.output, **outputs})


if __name__ == "__main__":
    run_job("quantize_features", Config, main)
