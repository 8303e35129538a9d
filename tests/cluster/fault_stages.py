"""Stages to be disturbed, their data, and runs of them that are watched.

Axes: V videos, F frames, D features, E entities.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cluster.standalone import Cluster, Submitted
from model_files import random_model, write_model

from yt8m_spark.formats.examples import FrameRecord, encode_frames
from yt8m_spark.formats.tfrecord import write_records

__all__ = ["STAGES", "Finished", "Site", "Stage", "leftovers", "replace_file", "same_outputs"]

D, N_LABELS = 256, 64
N_SHARDS, N_PARTS = 48, 12  # of frames; of a table


class Stage(NamedTuple):
    """A stage of the line as a command, long enough for a fault to strike in the middle."""

    name: str
    job: str
    options: tuple[str, ...]
    inputs: str  # pattern of the files that its tasks read
    make: Callable[[Path], None]  # its data, in a folder
    resumes: bool = False


class Finished(NamedTuple):
    """How a run ended."""

    status: int
    seconds: float
    application: Submitted


def make_frames(folder: Path) -> None:
    """Shards of 100 videos of 200 frames, all alike under names of their own."""
    (folder / "frames").mkdir()
    rng = np.random.default_rng(0)
    records = []
    for i in range(100):
        codes = rng.integers(0, 256, size=(200, 1024), dtype=np.uint8)
        records.append(
            encode_frames(FrameRecord(f"v{i:03d}", np.array([i % 7]), {"rgb": codes}, None))
        )
    write_records(str(folder / "frames" / "train00.tfrecord"), records)
    _link(folder / "frames" / "train00.tfrecord", N_SHARDS, "train{:02d}.tfrecord")


def make_videos(folder: Path) -> None:
    """A videos table of wide features, in parts that are all alike."""
    (folder / "videos").mkdir()
    x = np.random.default_rng(1).normal(size=(1000, 2048)).astype(np.float32)
    _write_part(folder / "videos" / "part-00.parquet", x, "mean_rgb")
    _link(folder / "videos" / "part-00.parquet", N_PARTS, "part-{:02d}.parquet")


def make_features(folder: Path) -> None:
    """A features table to train on: entity ``e`` is on where feature ``e`` is high."""
    (folder / "features").mkdir()
    for part in range(4):
        x = np.random.default_rng(part).normal(size=(4000, D)).astype(np.float32)
        _write_part(folder / "features" / f"part-{part:02d}.parquet", x, "features", f"p{part}-")


def make_model(folder: Path) -> None:
    """Features, and a model of many entities to score them with."""
    (folder / "many").mkdir()
    x = np.random.default_rng(2).normal(size=(4000, D)).astype(np.float32)
    _write_part(folder / "many" / "part-00.parquet", x, "features")
    _link(folder / "many" / "part-00.parquet", N_PARTS, "part-{:02d}.parquet")
    weights, bias = random_model(4, 4000, D)
    write_model(folder / "model", weights, bias, list(range(4000)), loss="moe")


_WHITEN = ("--input=videos", "--n-components=32", "--memory=16")
_TRAIN = ("--input=features", "--loss=moe", "--block-size=4", "--checkpoint-seconds=0.5")

STAGES = {
    stage.name: stage
    for stage in (
        Stage("statistics", "aggregate_videos", ("--input=frames/*.tfrecord",),
              "frames/*.tfrecord", make_frames),
        Stage("whitening", "fit_whitening", _WHITEN, "videos/*.parquet", make_videos),
        Stage("training", "train_entities", (*_TRAIN, "--epochs=4"),
              ".{output}.work/shards/*.npy", make_features, resumes=True),
        Stage("scoring", "predict", ("--model=model", "--input=many"),
              "many/*.parquet", make_model),
    )
}  # fmt: skip


class Site:
    """A cluster, a folder of data, and what undisturbed runs of the stages gave there."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self._undisturbed: dict[str, Finished] = {}
        self._n_runs = 0

    def prepare(self, stage: Stage) -> Finished:
        """The undisturbed run of ``stage``, to ``whole_<stage>``, and before it its data."""
        if stage.name not in self._undisturbed:
            stage.make(self.folder)
            whole = self.run(stage, f"whole_{stage.name}")
            assert whole.status == 0, whole.application.text
            self._undisturbed[stage.name] = whole
        return self._undisturbed[stage.name]

    def run(
        self,
        stage: Stage,
        output: str,
        *options: str,
        strike: Callable[[Submitted], object] | None = None,
        settings: dict[str, str] | None = None,
    ) -> Finished:
        """Run ``stage``, ``strike`` once its tasks are at work, and watch its output appear whole.

        Raises
        ------
        AssertionError
            If the output was there before it was complete, or ``strike`` came too late.
        """
        given = (*stage.options, f"--output={output}", *options)
        running = self.cluster.submit(stage.job, *given, cwd=self.folder, settings=settings)
        with _watched(self.folder / output):
            if strike is not None:
                self._await_tasks(running, output)
                assert running.process.poll() is None, running.text
                strike(running)
            status = running.wait()
        return Finished(status, time.monotonic() - running.started, running)

    def again(self, stage: Stage, output: str, before: Finished) -> Finished:
        """Give the same command once more, with --resume where there is one; both runs' seconds."""
        finished = self.run(stage, output, *(["--resume"] if stage.resumes else []))
        return finished._replace(seconds=before.seconds + finished.seconds)

    def new_output(self) -> str:
        """Name that no run has written to."""
        self._n_runs += 1
        return f"output_{self._n_runs}"

    def _await_tasks(self, running: Submitted, output: str) -> None:
        """Until two tasks have counted something, half a second ago."""
        folder, name = (self.folder / output).parent, Path(output).name
        while running.process.poll() is None and len(_counts(folder, name)) < 2:
            time.sleep(0.02)
        with suppress(Exception):
            running.process.wait(0.5)


def same_outputs(stage: Stage, one: Path, other: Path) -> bool:
    """Whether two outputs are equal: rows of tables, bits of what was fitted."""
    if stage.name == "whitening":
        files = [np.load(path / "whitening.npz") for path in (one, other)]
        names = [sorted(file.files) for file in files]
        return names[0] == names[1] and all(
            np.array_equal(files[0][name], files[1][name]) for name in names[0]
        )
    part, key = ("entities", "entity") if stage.name == "training" else ("", "video_id")
    tables = [pq.read_table(path / part).sort_by(key) for path in (one, other)]
    return bool(tables[0].equals(tables[1]))


def leftovers(output: Path) -> list[str]:
    """What lies beside ``output``, or hidden in it, and has to do with its making."""
    beside = [p.name for p in output.parent.glob(f".{output.name}.*")]
    return beside + [p.name for p in output.rglob("*") if ".tmp" in p.name or "_temp" in p.name]


def replace_file(path: Path, content: bytes) -> None:
    """Give the name ``path`` to a new file; other names of the old one keep it."""
    temporary = path.with_name("replacement")
    temporary.write_bytes(content)
    os.replace(temporary, path)


@contextmanager
def _watched(output: Path) -> Iterator[None]:
    """Look at ``output`` all the time: as soon as it is there, it must be what it is at the end."""
    first: list[set[tuple[str, int]]] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.005) and not first:
            if output.exists():
                first.append(_listing(output))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
    assert not first or first[0] == _listing(output), "a partial output was visible"


def _listing(folder: Path) -> set[tuple[str, int]]:
    # Checksums of Hadoop and temporary files of tasks are hidden from all readers.
    files = (path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    return {(str(path.relative_to(folder)), path.stat().st_size) for path in files}


def _counts(folder: Path, name: str) -> list[Path]:
    """Counts of tasks that have done something."""
    patterns = f".{name}.*heartbeats/[!.]*", f".{name}.work/heartbeats/[!.]*"
    found = (path for pattern in patterns for path in folder.glob(pattern))
    counted = []
    for path in found:
        with suppress(OSError):
            if path.read_text() not in ("", "0"):
                counted.append(path)
    return counted


def _write_part(path: Path, x: np.ndarray, column: str, prefix: str = "v") -> None:
    """A Parquet file of ids, labels and ``x`` (V, D)."""
    floats = pa.FixedSizeListArray.from_arrays(x.ravel(), x.shape[1]).cast(pa.list_(pa.float32()))
    labels = [np.flatnonzero(row > 1.5).tolist() for row in x[:, :N_LABELS]]
    ids = [f"{prefix}{i:06d}" for i in range(len(x))]
    columns = {"video_id": ids, "labels": pa.array(labels, pa.list_(pa.int32())), column: floats}
    pq.write_table(pa.table(columns), path, compression="none")


def _link(path: Path, n: int, name: str) -> None:
    """Give ``path``, which is number 0, more names."""
    for number in range(1, n):
        os.link(path, path.with_name(name.format(number)))
