"""Frame-level shards for benchmarks: random codes in the release's format and sizes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from yt8m_spark.formats.examples import FrameRecord, encode_frames
from yt8m_spark.formats.tfrecord import write_records

__all__ = ["WIDTHS", "make_shards", "repeat_shards"]

WIDTHS = {"rgb": 1024, "audio": 128}


def make_shards(folder: Path, n_shards: int, videos_a_shard: int) -> list[str]:
    """Shards of videos of 120 to 300 frames, 246 kB a video on average."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    paths = []
    for shard in range(n_shards):
        records = (_record(rng, f"v{shard}-{video}") for video in range(videos_a_shard))
        paths.append(str(folder / f"train{shard:04}.tfrecord"))
        write_records(paths[-1], records)
    return paths


def repeat_shards(paths: list[str], n_times: int) -> list[str]:
    """The same shards under ``n_times`` as many names: much to read from little disk."""
    repeated = []
    for path in paths:
        for number in range(n_times):
            link = Path(path).parent / f"times{n_times}" / f"{Path(path).stem}-{number}.tfrecord"
            link.parent.mkdir(exist_ok=True)
            os.link(path, link)
            repeated.append(str(link))
    return repeated


def _record(rng: np.random.Generator, video_id: str) -> bytes:
    n_frames = int(rng.integers(120, 301))
    lists = {
        name: rng.integers(0, 256, (n_frames, width), dtype=np.uint8)
        for name, width in WIDTHS.items()
    }
    labels = rng.integers(0, 3862, 3)
    return encode_frames(FrameRecord(video_id, labels, lists, None))
