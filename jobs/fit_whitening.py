"""Fit PCA whitening of video features (paper §4.2.2).

reads    --input     videos table (or video-level TFRecord shards) of the Train split
writes   --output    folder: whitening.npz, whitening.json, explained_variance.png
logs     n_videos, n_components, explained_variance_ratio

    spark-submit jobs/fit_whitening.py --input videos --output whitening
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yt8m_spark.config import option
from yt8m_spark.core.whitening_options import WhiteningOptions
from yt8m_spark.errors import InputError
from yt8m_spark.events import note
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import step, watch
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.schemas import video_features
from yt8m_spark.spark.tables import count_videos, read_input
from yt8m_spark.spark.whitening import TASK_MEMORY, fit_columns
from yt8m_spark.whitening_files import save_whitening
from yt8m_spark.whitening_plot import EXPLAINED_VARIANCE, draw_explained_variance

_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Fit PCA whitening of video features."""

    input: str = option("videos table, or glob of video-level TFRecord shards")
    columns: tuple[str, ...] = option("array columns, side by side (default: all there are)", ())
    n_components: int | None = option(
        "components kept (default: all; 1,024 of features too wide for memory)", None
    )
    explained_variance: float | None = option(
        "instead: keep the fewest components that hold this share of the variance", None
    )
    ridge: float = option("added to each variance, as a share of the mean one; ours", 10.0)
    method: Literal["pca", "zca", "none"] = option(
        "components, components rotated back to features, or only the mean subtracted", "pca"
    )
    l2_normalize: bool = option("make features of length 1 (§4.2.2)", True)
    memory: int = option("MiB a task or the driver may hold of a covariance", TASK_MEMORY // _MIB)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        self.options().check()
        if self.memory < 1:
            raise ValueError(f"memory must be at least 1 MiB, got {self.memory}")

    def options(self) -> WhiteningOptions:
        """What to keep, and how."""
        return WhiteningOptions(
            self.n_components, self.explained_variance, self.ridge, self.method, self.l2_normalize
        )


def main(config: Config) -> JobResult:
    """Read, fit, save."""
    with open_run("fit_whitening", config, [config.input]) as run:
        videos = read_input(run.spark, config.input)
        columns = config.columns or video_features(videos.schema)
        if not columns:
            raise InputError("no array column to whiten", where=config.input)
        total = count_videos(run.spark, config.input)
        with watch(run.heartbeats, total, "fit whitening") as heartbeats:
            whitening, fitted = fit_columns(
                videos,
                columns,
                **config.options()._asdict(),
                memory=config.memory * _MIB,
                work=f"{run.folder}.tiles",
                heartbeats=heartbeats,
                stage=step,
            )
        save_whitening(run.folder, whitening, columns, fitted.widths)
        if config.options().keeps_all and whitening.n_components < sum(fitted.widths):
            share = f"{whitening.explained_variance_ratio:.1%} of the variance"
            kept = f"the first {whitening.n_components:,} components, {share}"
            note(f"{sum(fitted.widths):,} features are too wide for --memory: kept are {kept}")
        if whitening.method != "none":
            plot = f"{run.folder}/{EXPLAINED_VARIANCE}"
            spectrum, n_kept = whitening.spectrum, whitening.n_components
            draw_explained_variance(spectrum, whitening.total_variance, n_kept, plot)
            run.tracked.log_file(plot)
        run.log_metrics(
            {
                "n_videos": fitted.n,
                "n_components": whitening.n_components,
                "explained_variance_ratio": whitening.explained_variance_ratio,
            }
        )
    return run.result({"whitening": config.output})


if __name__ == "__main__":
    run_job("fit_whitening", Config, main)
