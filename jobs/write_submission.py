"""Write predictions as a CSV that the YouTube-8M challenges on Kaggle take.

reads    --predictions   predictions table; for --kind segment with a column segment_start_time int
         --entities      CSV of the entities that may be listed (segment_label_ids.csv)
writes   --output        FILE.csv or FILE.csv.gz: one line a video, or one line an entity
logs     n_videos or n_entities

    spark-submit jobs/write_submission.py --predictions predictions --output submission.csv.gz
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yt8m_spark.config import option
from yt8m_spark.core.segments import AT_K
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import step
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.submissions import (
    is_submission,
    write_segment_submission,
    write_video_submission,
)
from yt8m_spark.spark.tables import read_table


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """Write predictions as a CSV that the YouTube-8M challenges on Kaggle take."""

    predictions: str = option("predictions table of predict or average_submissions")
    kind: Literal["video", "segment"] = option("VideoId,... or (2019) Class,Segments", "video")
    top_k: int = option("entities of a video, or of a segment, that count", 20)
    max_segments: int = option("segments listed for an entity", AT_K)
    digits: int = option("significant digits of a confidence; 9 give float32 back exactly", 6)
    entities: str | None = option("CSV of the entities that may be listed, others are not", None)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name, highest in (("top_k", 2**31), ("max_segments", 2**31), ("digits", 17)):
            value = getattr(self, name)
            if not 1 <= value <= highest:
                raise ValueError(f"{name} must be in 1 .. {highest}, got {value}")
        if not is_submission(self.output):
            raise ValueError(f"output must be named .csv or .csv.gz, got {self.output}")


def main(config: Config) -> JobResult:
    """Read, sort, write."""
    with open_run("write_submission", config, [config.predictions, config.entities]) as run:
        table = read_table(run.spark, config.predictions)
        only = read_vocabulary(config.entities).entities if config.entities else None
        zipped, k = config.output.lower().endswith(".gz"), config.top_k
        with step(f"write {config.kind} submission"):
            if config.kind == "video":
                n_lines = write_video_submission(
                    table, run.folder, k=k, digits=config.digits, only=only, zipped=zipped
                )
            else:
                n_lines = write_segment_submission(
                    table, run.folder, k=k, at_most=config.max_segments, only=only, zipped=zipped
                )
        run.log_metrics({"n_videos" if config.kind == "video" else "n_entities": n_lines})
    return run.result({"submission": config.output})


if __name__ == "__main__":
    run_job("write_submission", Config, main)
