"""Take random frames of every video as examples for classifiers of frames (paper §4.1.1).

reads    --input     glob of frame-level TFRecord shards, or a frames table
writes   --output    features table, a row a frame: video_id, labels, features, frame
logs     n_frames

    spark-submit jobs/sample_frames.py --input 'yt8m/frame/train*.tfrecord' --output features
"""

from __future__ import annotations

from dataclasses import dataclass

from yt8m_spark.config import option
from yt8m_spark.errors import InputError
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, Run, open_run
from yt8m_spark.spark.frame_sampling import frame_options, mark_frames, sample_frames
from yt8m_spark.spark.tables import count_videos, is_frames_table, read_input, read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Take random frames of every video as examples for classifiers of frames."""

    input: str = option("glob of frame-level TFRecord shards, or a frames table")
    n_frames: int = option("frames of a video (§4.1.1); all of them if it has fewer", 20)
    seed: int = option("of the choice of frames", 0)
    features: tuple[str, ...] = option(
        "feature lists, with widths if you know them: rgb:1024,audio:128 (default: all)", ()
    )
    normalize: bool = option("scale every frame to length 1", True)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.n_frames < 1:
            raise ValueError(f"n_frames must be at least 1, got {self.n_frames}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")


def main(config: Config) -> JobResult:
    """Read, sample, write."""
    with open_run("sample_frames", config, [config.input]) as run:
        total = count_videos(run.spark, config.input)
        with watch(run.heartbeats, total, "sample frames") as heartbeats:
            run.log_metrics({"n_frames": _sample(run, config, heartbeats)})
    return run.result({"features": config.output})


def _sample(run: Run, config: Config, heartbeats: str) -> int:
    """Sample and write; returns the number of frames."""
    frames = read_input(run.spark, config.input, level="frame")
    if not is_frames_table(frames):
        raise InputError("no frames", where=config.input, expected="frame-level records")
    options = frame_options(
        frames,
        config.features,
        normalize=config.normalize,
        n_frames=config.n_frames,
        seed=config.seed,
    )
    sample = sample_frames(frames, options, heartbeats=heartbeats)
    sample.write.mode("overwrite").parquet(run.folder)
    mark_frames(run.folder, options)
    return read_table(run.spark, run.folder).count()


if __name__ == "__main__":
    run_job("sample_frames", Config, main)
