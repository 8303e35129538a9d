"""Make a small YouTube-8M of synthetic videos, in the true format, its ground truth beside it.

reads    nothing
writes   --output    frame/ and video/ TFRecord shards, vocabulary.csv, truth/
logs     n_videos, n_labels, label_recall, label_precision

    spark-submit jobs/make_synthetic.py --output synthetic --n-videos 2000 --n-entities 100
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from yt8m_spark.config import option
from yt8m_spark.core.synthetic_config import SyntheticConfig
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import watch
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.synthetic import write_synthetic


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Make a small YouTube-8M of synthetic videos, in the true format."""

    n_videos: int = option("videos of all three splits", 2000)
    n_entities: int = option("entities of the vocabulary", 200)
    n_shards: int = option("shards of all three splits", 10)
    seed: int = option("the same seed gives the same bytes", 0)
    rgb_dim: int = option("visual features of a frame", 1024)
    audio_dim: int = option("audio features of a frame", 128)
    mean_frames: float = option("mean length of a video in seconds", 120.0)
    max_frames: int = option("longest video in seconds (§3.3; released: 300)", 300)
    labels_per_video: float = option("mean number of true labels", 3.0)
    zipf_exponent: float = option("of the entities' frequencies", 1.0)
    label_recall: float = option("share of true labels that is given (paper: 0.145)", 1.0)
    label_precision: float = option("share of given labels that is true (paper: 0.788)", 1.0)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        self.synthetic()

    def synthetic(self) -> SyntheticConfig:
        """What to make."""
        return SyntheticConfig(**{f.name: getattr(self, f.name) for f in fields(SyntheticConfig)})


def main(config: Config) -> JobResult:
    """Write the shards, report what came out."""
    with open_run("make_synthetic", config) as run:
        with watch(run.heartbeats, config.n_videos, "make videos") as heartbeats:
            measures = write_synthetic(
                run.spark, config.synthetic(), run.folder, heartbeats=heartbeats
            )
        run.log_metrics(measures)
    return run.result({"data": config.output})


if __name__ == "__main__":
    run_job("make_synthetic", Config, main)
