"""The target of a transfer: another dataset's videos with its labels and splits (§5.3, §5.4)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession

from yt8m_spark.artifacts import load_json, save_json, staged_output
from yt8m_spark.errors import InputError
from yt8m_spark.events import note
from yt8m_spark.formats.class_lists import read_classes
from yt8m_spark.formats.target_labels import read_target_labels
from yt8m_spark.progress import step, watch
from yt8m_spark.spark.source import read_shards
from yt8m_spark.spark.tables import count_videos, is_frames_table, is_table, read_input, read_table
from yt8m_spark.spark.target_labels import (
    LabelCounts,
    check_labels,
    count_once,
    label_frames,
    labels_of_table,
    write_target_labels,
)

__all__ = ["LabelFiles", "Target", "check_apart", "lay_out_target"]


class LabelFiles(NamedTuple):
    """Where the labels of a target are, and which of its splits are taken."""

    paths: tuple[str, ...]
    kind: str  # of `formats.target_labels.FORMATS`
    classes: str | None  # what numbers and names there may be
    conflicts: str  # "refuse" or "drop"
    train: str  # split
    test: str | None  # split; None for test, or validate where test has no labels


class Target(NamedTuple):
    """Videos with labels, ready to learn from and to test on."""

    sources: dict[str, str]  # a table or pattern of shards each for "train" and "test"
    counts: dict[str, int]  # what was found, and what was left out

    def has_frames(self, spark: SparkSession) -> bool:
        """Whether its videos have frames, not video-level features."""
        return is_frames_table(read_input(spark, self.sources["train"]))


def lay_out_target(spark: SparkSession, frames: str, files: LabelFiles, folder: str) -> Target:
    """Lay the labels of ``files`` over the videos of ``frames``; left alone if done in ``folder``.

    Parameters
    ----------
    spark : SparkSession
    frames : str
        Shards or a table, of frames or of video-level features; its own labels count for nothing.
    files : LabelFiles
    folder : str
        Gets ``target/videos/split=<name>``, tables of the videos that have labels.

    Raises
    ------
    InputError
        If labels cannot be read or are unknown, videos have conflicting ones or come twice among
        the frames, or no video of a split that is needed has both labels and frames; it names the
        file and a video of it.
    """
    root = Path(folder)
    if not (root / "target").exists():
        with staged_output(str(root / "target")) as staged:
            Path(staged).mkdir()
            _make_target(spark, frames, files, Path(staged))
    told = load_json(root / "target" / "target.json")
    splits = {"train": told["train"], "test": told["test"]}
    sources = {name: str(root / "target/videos" / f"split={s}") for name, s in splits.items()}
    return Target(sources, told["counts"])


def check_apart(spark: SparkSession, train: str, test: str) -> None:
    """Refuse a video that is in both ``train`` and ``test``: its labels would be known.

    Raises
    ------
    InputError
        If there is one; it names it. Ids alone are read, of shards too.
    """
    found = _ids(spark, train).join(_ids(spark, test), "video_id", "leftsemi").first()
    if found is not None:
        what = f"video {found.video_id} is one to learn from and to test on"
        raise InputError(what, where=f"{train} and {test}", expected="videos of one of them")


def _ids(spark: SparkSession, source: str) -> DataFrame:
    if is_table(source):
        return read_table(spark, source).select("video_id")
    return read_shards(spark, source, projection=["video_id"])


def _make_target(spark: SparkSession, frames: str, files: LabelFiles, root: Path) -> None:
    where = ", ".join(files.paths)
    with step(f"read labels of {where}"):
        labels = _read_labels(spark, files, root)
        labelled, counts = check_labels(labels, conflicts=files.conflicts)
        splits = _splits(files, counts, where)
        wanted = labelled.where(labelled.split.isin(*splits.values()))
        wanted.write.parquet(str(root / "labels"))
    wanted = read_table(spark, str(root / "labels"))
    table = read_input(spark, frames)
    with watch(str(root / "heartbeats"), count_videos(spark, frames), "label frames") as beats:
        n_read = label_frames(table, wanted, str(root / "videos"), heartbeats=beats)
    found = _count_found(spark, root, splits, frames)
    for name, split in splits.items():
        if not found[name]:
            _complain(
                wanted.where(wanted.split == split), table, f"split {split} of {where}", frames
            )
    n_found = sum(found.values())
    told = {f"n_{name}_videos": n for name, n in found.items()} | {
        "n_labels_without_frames": wanted.count() - n_found,
        "n_videos_unused": n_read - n_found,  # without labels, or of other splits
        "n_videos_without_labels": counts.n_unlabelled,
        "n_repeated_rows": counts.n_repeated,
        "n_conflicting_videos": counts.n_conflicting,
    }
    counted = ", ".join(f"{n} {name[2:].replace('_', ' ')}" for name, n in told.items())
    note(f"target: {counted}")
    save_json(root / "target.json", {**splits, "counts": told})
    shutil.rmtree(root / "labels")


def _read_labels(spark: SparkSession, files: LabelFiles, root: Path) -> DataFrame:
    """Rows of all files, as `write_target_labels` has them."""
    classes = None if files.classes is None else read_classes(files.classes)
    if files.kind == "table" and all(is_table(path) for path in files.paths):
        known = None if classes is None else classes.entities
        tables = [labels_of_table(read_table(spark, path), path, known) for path in files.paths]
        table = tables[0]
        for more in tables[1:]:
            table = table.unionByName(more)
        return table
    rows = read_target_labels(files.paths, files.kind, classes)
    write_target_labels(rows, str(root / "rows.parquet"))
    return read_table(spark, str(root / "rows.parquet"))


def _splits(files: LabelFiles, counts: LabelCounts, where: str) -> dict[str, str]:
    """Splits to train and to test on, which must have labels."""
    test = files.test or ("test" if counts.labelled["test"] else "validate")
    splits = {"train": files.train, "test": test}
    if test == files.train:
        what = "the split to learn from is the one to test on"
        raise InputError(what, where=where, expected="two splits", found=test)
    for split in splits.values():
        if not counts.labelled[split]:
            found = ", ".join(f"{n} of {name}" for name, n in counts.labelled.items())
            raise InputError(
                f"no video of split {split} has a label", where=where, found=f"labelled: {found}"
            )
    return splits


def _count_found(
    spark: SparkSession, root: Path, splits: dict[str, str], frames: str
) -> dict[str, int]:
    """Videos with labels and frames, by the use they have."""
    folders = {name: root / "videos" / f"split={split}" for name, split in splits.items()}
    return {
        name: count_once(read_table(spark, str(folder)), frames) if folder.exists() else 0
        for name, folder in folders.items()
    }


def _complain(labels: DataFrame, frames: DataFrame, where: str, source: str) -> None:
    """Refuse labels and frames that are of different videos, with one of each."""
    label, video = labels.first(), frames.select("video_id").first()
    raise InputError(
        f"no video of {source} has labels",
        where=where,
        expected=f"ids such as {video.video_id if video else 'none'}",
        found=f"ids such as {label.video_id if label else 'none'}",
    )
