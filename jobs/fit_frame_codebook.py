"""Fit codebooks of frames, for VLAD (k-means) and Fisher vectors (Gaussians) (paper §4.1.2).

reads    --input     glob of frame-level TFRecord shards, or a frames table, of training videos
writes   --output    folder: frame_codebook.npz, frame_codebook.json, centres.png
logs     of each codebook n_frames, n_iterations and how well it fits

    spark-submit jobs/fit_frame_codebook.py --input 'yt8m/frame/train*.tfrecord' \
        --output codebook --method kmeans,gmm
"""

from __future__ import annotations

from dataclasses import dataclass

from yt8m_spark.config import option
from yt8m_spark.core.frame_codebook import CodebookOptions, check_methods
from yt8m_spark.errors import InputError
from yt8m_spark.frame_codebook_plot import SHARES
from yt8m_spark.frame_codebooks import make_codebooks
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.frame_sampling import frame_options
from yt8m_spark.spark.tables import count_videos, is_frames_table, read_input


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Fit codebooks of frames, for VLAD (k-means) and Fisher vectors (Gaussians)."""

    input: str = option("glob of frame-level TFRecord shards, or a frames table")
    method: tuple[str, ...] = option("kmeans (for vlad), gmm (for fisher), or both", ("kmeans",))
    n_centres: int = option("centres of k-means, Gaussians of a mixture; ours", 64)
    features: tuple[str, ...] = option(
        "feature lists, with widths if you know them: rgb:1024,audio:128 (default: all)", ()
    )
    sample: int = option("frames of each list to fit on, held by the driver; ours", 200_000)
    n_dimensions: int | None = option(
        "first reduce frames to so many by a PCA of their own (default: as they are)", None
    )
    power: float = option("exponent of the power normalisation of encodings; 1: none", 0.5)
    intra: bool = option("VLAD: make the part of every centre of length 1 first", False)
    seed: int = option("of the choice of frames and of first centres", 0)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_methods(self.method)
        self.options().check()

    def options(self) -> CodebookOptions:
        """How to fit, and how to normalise encodings."""
        return CodebookOptions(
            self.n_centres, self.sample, self.n_dimensions, self.power, self.intra, self.seed
        )


def main(config: Config) -> JobResult:
    """Read, sample, fit, save."""
    with open_run("fit_frame_codebook", config, [config.input]) as run:
        frames = read_input(run.spark, config.input, level="frame")
        if not is_frames_table(frames):
            raise InputError("no frames", where=config.input, expected="frame-level records")
        figures = make_codebooks(
            frames,
            frame_options(frames, config.features).features,
            check_methods(config.method),
            run.folder,
            options=config.options(),
            heartbeats=run.heartbeats,
            n_videos=count_videos(run.spark, config.input),
        )
        run.log_metrics(figures)
        run.tracked.log_file(f"{run.folder}/{SHARES}")
    return run.result({"codebook": config.output})


if __name__ == "__main__":
    run_job("fit_frame_codebook", Config, main)
