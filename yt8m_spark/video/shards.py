"""One shard of an extraction: what is finished already, what is missing, and the shard at the end.

In the work folder: ``parts/00003/`` has the finished videos of shard 3 and ``*.jsonl`` with what is
wrong with others; ``shards/00003.tfrecord`` the shard; ``skipped/00003.jsonl`` its faulty videos.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from yt8m_spark.artifacts import staged_file
from yt8m_spark.video.extraction import Extracted, Seconds, VideoFile
from yt8m_spark.video.parts import Part, Place, append_video, finished_videos, new_part, write_shard
from yt8m_spark.video.plan import ExtractionPlan, Tools

__all__ = ["Fault", "ShardReport", "ShardWork"]


class Fault(NamedTuple):
    """What is wrong with a video."""

    video_id: str
    path: str
    reason: str
    n_frames: int  # that are in the shard nevertheless


class ShardReport(NamedTuple):
    """What a task tells of its shard."""

    shard: int
    n_videos: int  # in the shard
    n_frames: int
    n_skipped: int
    n_damaged: int  # of which the frames before the damage are in the shard
    decoding: float  # seconds
    network: float
    total: float


class ShardWork:
    """Extracts the videos of one shard, in one attempt."""

    def __init__(self, work: str, number: int, plan: ExtractionPlan, tools: Tools) -> None:
        self._name = f"{number:05d}"
        self._number = number
        self._work = Path(work)
        self._parts = self._work / "parts" / self._name
        self._plan = plan
        self._tools = tools
        self._places: dict[str, Place] = {}
        self._start = time.perf_counter()

    def run(
        self, videos: list[VideoFile], opener: Callable[[str], str | IO[bytes]]
    ) -> Iterator[str]:
        """Ids of ``videos``, each when it is done; broken ones of earlier attempts are tried again.

        Raises
        ------
        InputError
            If the network does not take the images.
        """
        ids = {video.video_id for video in videos}
        found = finished_videos(self._parts)
        self._places = {video_id: found[video_id] for video_id in ids & found.keys()}
        yield from self._places
        missing = [video for video in videos if video.video_id not in self._places]
        extractor = self._tools.extractor
        extractor.seconds = Seconds()
        with new_part(self._parts) as part:
            for extracted in extractor.extract(missing, opener):
                self._keep(part, extracted)
                yield extracted.video.video_id

    def finish(self) -> ShardReport:
        """Write the shard, if it has a video, and the list of faulty ones."""
        n_frames = 0
        if self._places:
            shard = self._work / "shards" / f"{self._name}.tfrecord"
            shard.parent.mkdir(exist_ok=True)
            n_frames = write_shard(shard, self._places, self._plan.feature_name)
        faults = self._faults()
        with staged_file(self._work / "skipped" / f"{self._name}.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(f._asdict()) + "\n" for f in faults))
        n_damaged = sum(fault.n_frames > 0 for fault in faults)
        seconds = self._tools.extractor.seconds
        return ShardReport(
            self._number,
            len(self._places),
            n_frames,
            len(faults) - n_damaged,
            n_damaged,
            seconds.decoding,
            seconds.network,
            time.perf_counter() - self._start,
        )

    def _keep(self, part: Part, extracted: Extracted) -> None:
        """Append a video to ``part``, or what is wrong with it to the file beside it."""
        video, activations, reason = extracted
        kept = reason is None or (self._plan.keep_damaged and len(activations) > 0)
        if reason is not None:
            fault = Fault(video.video_id, video.path, reason, len(activations) if kept else 0)
            with part.path.with_suffix(".jsonl").open("a") as file:
                file.write(json.dumps(fault._asdict()) + "\n")
        if kept:
            values = self._tools.values(activations)
            place = append_video(part, video, self._plan.feature_name, values)
            self._places[video.video_id] = place

    def _faults(self) -> list[Fault]:
        """Faulty videos: what the attempt said whose record is in the shard, else the latest one.

        A video that came out well in one attempt, and that is in the shard, is not faulty.
        """
        faults: dict[str, Fault] = {}
        for path in sorted(self._parts.glob("*.jsonl"), key=lambda file: file.stat().st_mtime_ns):
            part = path.with_suffix(".tfrecord")
            for line in path.read_text().splitlines():
                with suppress(ValueError):  # the last one, of an attempt that died
                    fault = Fault(**json.loads(line))
                    place = self._places.get(fault.video_id)
                    if place is None:
                        faults[fault.video_id] = fault._replace(n_frames=0)
                    elif place.path == part:
                        faults[fault.video_id] = fault
        return sorted(faults.values())
