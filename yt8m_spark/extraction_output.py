"""What an extraction leaves: shards or a table, the list of faulty videos, and how it was made."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from pyspark.sql import SparkSession

from yt8m_spark.artifacts import save_json
from yt8m_spark.errors import InputError
from yt8m_spark.spark.extraction import raw_frames
from yt8m_spark.spark.source import read_shards
from yt8m_spark.video.plan import ExtractionPlan
from yt8m_spark.video.shards import Fault, ShardReport

__all__ = ["check_skipped", "figures", "shares", "write_output"]

SKIPPED = "_skipped.csv"  # readers of tables and shards pass over names with _ in front
_MADE_BY = "_extraction.json"


def write_output(
    spark: SparkSession,
    work: str,
    folder: str,
    plan: ExtractionPlan,
    *,
    n_bytes: int,
    as_table: bool,
) -> None:
    """Make the output in ``folder`` from what the tasks left in ``work``.

    Parameters
    ----------
    spark : SparkSession
    work, folder : str
    plan : ExtractionPlan
    n_bytes : int
        Bytes of a frame: D, or 4 * M without a PCA.
    as_table : bool
        Whether a table is wanted, of codes or, without a PCA, of raw frames; else shards.
    """
    shards = sorted((Path(work) / "shards").glob("*.tfrecord"))
    target = Path(folder)
    if as_table:
        options = {"features": f"{plan.feature_name}:{n_bytes}"}
        frames = read_shards(spark, str(Path(work) / "shards"), level="frame", options=options)
        if plan.pca is None:
            frames = raw_frames(frames, plan.feature_name)
        frames.write.mode("overwrite").parquet(folder)
    else:
        target.mkdir(parents=True)
        for number, shard in enumerate(shards):
            name = f"features-{number:05d}-of-{len(shards):05d}.tfrecord"
            os.replace(shard, target / name)  # made again from the parts if need be
    _write_skipped(target / SKIPPED, sorted((Path(work) / "skipped").glob("*.jsonl")))
    how = {"how": plan.how._asdict(), "sampling": plan.sampling._asdict()}
    save_json(target / _MADE_BY, asdict(plan) | how)


def _write_skipped(path: Path, files: Iterable[Path]) -> None:
    """One CSV of the faulty videos of all shards, a row each; the head alone if there are none."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Fault._fields)
        for source in files:
            writer.writerows(_faults(source))


def _faults(path: Path) -> Iterator[Fault]:
    """Faulty videos that a task told of."""
    with path.open() as lines:
        for line in lines:
            yield Fault(**json.loads(line))


def check_skipped(reports: Iterable[ShardReport], largest: float, work: str) -> None:
    """Refuse an extraction of which too many videos failed.

    Raises
    ------
    InputError
        If more than the share ``largest`` was skipped, or all of them; it tells one reason.
    """
    totals = figures(reports)
    n_skipped = int(totals["n_skipped"])
    n_all = int(totals["n_videos"]) + n_skipped
    if n_skipped > largest * n_all or n_skipped == n_all:
        files = sorted((Path(work) / "skipped").glob("*.jsonl"))
        first = next(fault for file in files for fault in _faults(file) if not fault.n_frames)
        most = f"at most {largest:.0%} (--max-skipped)" if largest < 1 else "one video at least"
        raise InputError(
            f"{n_skipped} of {n_all} videos were skipped",
            expected=most.replace("%", " %"),
            found=f"{first.path}: {first.reason}, say",
        )


def figures(reports: Iterable[ShardReport]) -> dict[str, float]:
    """Sums over shards, and the shares of the tasks' time."""
    rows = list(reports)
    names = ("n_videos", "n_frames", "n_skipped", "n_damaged")
    sums: dict[str, float] = {name: sum(getattr(row, name) for row in rows) for name in names}
    total, decoding, network = (
        sum(getattr(row, name) for row in rows) for name in ("total", "decoding", "network")
    )
    if total > 0:
        sums["task_seconds"] = total
        sums["share_decoding"] = decoding / total
        sums["share_network"] = network / total
        sums["share_ours"] = 1 - (decoding + network) / total
    return sums


def shares(totals: dict[str, float]) -> str:
    """Where the time went, in one line."""
    named = (("decoding", "share_decoding"), ("network", "share_network"), ("ours", "share_ours"))
    parts = [f"{word} {totals.get(name, 0):.0%}".replace("%", " %") for word, name in named]
    return ", ".join(parts)
