"""Fit the PCA of frame features over all frames of all videos (paper §3.3).

reads    --input     table of raw frames: video_id, labels, array<array<float>> activations
writes   --output    folder: mean.npy, eigenvals.npy, eigenvecs.npy, explained_variance.png
logs     n_frames, n_components, explained_variance_ratio

    spark-submit jobs/fit_frame_pca.py --input raw --column rgb --output frame_pca
"""

from __future__ import annotations

from dataclasses import dataclass

from yt8m_spark.config import option
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.frame_pca import fit_frames, save_frame_pca
from yt8m_spark.spark.tables import read_table
from yt8m_spark.whitening_plot import draw_explained_variance


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Fit the PCA of frame features over all frames of all videos."""

    input: str = option("table of raw frames")
    column: str = option("column of the activations, array<array<float>>", "rgb")
    n_components: int | None = option(
        "components kept (default: 1,024 as in §3.3, or all of frames less wide)", None
    )

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.n_components is not None and self.n_components < 1:
            raise ValueError(f"n_components must be at least 1, got {self.n_components}")


def main(config: Config) -> JobResult:
    """Read, fit, save."""
    with open_run("fit_frame_pca", config, [config.input]) as run:
        frames = read_table(run.spark, config.input)
        with watch(run.heartbeats, frames.count(), "fit frame PCA") as heartbeats:
            pairs, moments = fit_frames(
                frames, config.column, config.n_components, heartbeats=heartbeats
            )
        save_frame_pca(run.folder, moments, pairs)
        plot = f"{run.folder}/explained_variance.png"
        total = float(pairs.spectrum.sum())
        draw_explained_variance(pairs.spectrum, total, len(pairs.values), plot)
        run.tracked.log_file(plot)
        run.log_metrics(
            {
                "n_frames": moments.n,
                "n_components": len(pairs.values),
                "explained_variance_ratio": float(pairs.values.sum()) / total,
            }
        )
    return run.result({"pca": config.output})


if __name__ == "__main__":
    run_job("fit_frame_pca", Config, main)
