"""Reduce raw frames by their PCA and code them as one byte a component (paper §3.3).

reads    --input     table of raw frames: video_id, labels, array<array<float>> activations
         --pca       folder of fit_frame_pca, or the release's
writes   --output    frames table
logs     n_videos

    spark-submit jobs/apply_frame_pca.py --input raw --pca frame_pca --output frames
"""

from __future__ import annotations

from dataclasses import dataclass

from yt8m_spark.config import option
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.frame_pca import code_frames
from yt8m_spark.spark.tables import read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Reduce raw frames by their PCA and code them as one byte a component."""

    input: str = option("table of raw frames")
    pca: str = option("frame PCA: folder of mean, eigenvals, eigenvecs .npy, or VGGish's .npz")
    column: str = option("column of the activations, array<array<float>>", "rgb")


def main(config: Config) -> JobResult:
    """Read, reduce, write."""
    with open_run("apply_frame_pca", config, [config.input, config.pca]) as run:
        frames = read_table(run.spark, config.input)
        n_videos = frames.count()
        with watch(run.heartbeats, n_videos, "code frames") as heartbeats:
            coded = code_frames(frames, config.column, config.pca, heartbeats=heartbeats)
            coded.write.mode("overwrite").parquet(run.folder)
        run.log_metrics({"n_videos": n_videos})
    return run.result({"frames": config.output})


if __name__ == "__main__":
    run_job("apply_frame_pca", Config, main)
