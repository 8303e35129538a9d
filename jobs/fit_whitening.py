"""Fit PCA whitening of video features (paper §4.2.2).

reads    --input     videos table (or video-level TFRecord shards) of the Train split
writes   --output    folder: whitening.npz, whitening.json
logs     n_videos, n_components, explained_variance_ratio

    spark-submit jobs/fit_whitening.py --input videos --output whitening
"""

from __future__ import annotations

from dataclasses import dataclass

from yt8m_spark.config import option
from yt8m_spark.errors import InputError
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.schemas import video_features
from yt8m_spark.spark.tables import count_videos, read_input
from yt8m_spark.spark.whitening import column_widths, fit_columns, save_whitening


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Fit PCA whitening of video features."""

    input: str = option("videos table, or glob of video-level TFRecord shards")
    columns: tuple[str, ...] = option("array columns, side by side (default: all there are)", ())
    n_components: int | None = option("components kept (default: all)", None)
    ridge: float = option("added to each variance, as a share of the mean one; ours", 1.0)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.n_components is not None and self.n_components < 1:
            raise ValueError(f"n_components must be at least 1, got {self.n_components}")
        if not self.ridge >= 0:
            raise ValueError(f"ridge must be at least 0, got {self.ridge}")


def main(config: Config) -> JobResult:
    """Read, fit, save."""
    with open_run("fit_whitening", config, [config.input]) as run:
        videos = read_input(run.spark, config.input)
        columns = config.columns or video_features(videos.schema)
        if not columns:
            raise InputError("no array column to whiten", where=config.input)
        total = count_videos(run.spark, config.input)
        with watch(run.heartbeats, total, "fit whitening") as heartbeats:
            whitening, moments = fit_columns(
                videos,
                columns,
                n_components=config.n_components,
                ridge=config.ridge,
                heartbeats=heartbeats,
            )
        save_whitening(run.folder, whitening, columns, column_widths(videos, columns))
        run.log_metrics(
            {
                "n_videos": moments.n,
                "n_components": whitening.n_components,
                "explained_variance_ratio": whitening.explained_variance_ratio,
            }
        )
    return run.result({"whitening": config.output})


if __name__ == "__main__":
    run_job("fit_whitening", Config, main)
