"""Run jobs on the shared session, and small data for them."""

import json
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from yt8m_spark.formats.examples import FrameRecord, VideoRecord, encode_frames, encode_video
from yt8m_spark.formats.tfrecord import write_records

JOBS = Path(__file__).parents[2] / "jobs"


class Finished(NamedTuple):
    """How a job ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def result(self):
        """The JSON object of the last line of stdout."""
        return json.loads(self.stdout.splitlines()[-1])

    @property
    def error(self):
        """What the job complained of: its one line."""
        lines = [line for line in self.stderr.splitlines() if ": error: " in line]
        assert len(lines) == 1, self.stderr
        return lines[0]


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory):
    """One MLflow store for all: making one takes a second or two."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def job(spark, tracking_uri, tmp_path, monkeypatch, capfd):
    """Run jobs/NAME.py with arguments, in a temporary folder, joining the test's session."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    monkeypatch.setenv("YT8M_SPARK_LOG", "text")  # tables and bars as people see them

    def run(name, *arguments):
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(JOBS / f"{name}.py"), run_name="__main__")
        return Finished(ended.value.code, *capfd.readouterr())

    return run


def frame_record(index, *, n_frames=6, width=8, labels=None, seed=0):
    """A video of entity ``index % 3``: that feature is bright in all its frames."""
    rng = np.random.default_rng([seed, index])
    codes = rng.integers(80, 170, size=(n_frames, width), dtype=np.uint8)
    codes[:, index % 3] = 240
    labels = [index % 3] if labels is None else labels
    record = FrameRecord(f"v{index:03d}", np.array(labels, np.int64), {"rgb": codes}, None)
    return encode_frames(record)


def video_record(index, *, width=8, value=None, seed=0):
    """The same at video level."""
    features = np.random.default_rng([seed, index]).normal(size=width).astype(np.float32)
    features[index % 3] = 4
    if value is not None:
        features[0] = value
    # The encoder refuses what a broken writer elsewhere may have let through.
    data = encode_video(
        VideoRecord(f"v{index:03d}", np.array([index % 3]), {"mean_rgb": np.nan_to_num(features)})
    )
    return data.replace(np.nan_to_num(features).tobytes(), features.tobytes())


@pytest.fixture
def frame_shards(tmp_path):
    """Two frame-level shards of 30 videos each: a glob."""
    for shard in range(2):
        records = [frame_record(i) for i in range(30 * shard, 30 * shard + 30)]
        write_records(str(tmp_path / f"frame{shard}.tfrecord"), records)
    return str(tmp_path / "frame*.tfrecord")


@pytest.fixture
def video_shards(tmp_path):
    """Two video-level shards of 30 videos each: a glob."""
    for shard in range(2):
        records = [video_record(i) for i in range(30 * shard, 30 * shard + 30)]
        write_records(str(tmp_path / f"video{shard}.tfrecord"), records)
    return str(tmp_path / "video*.tfrecord")


@pytest.fixture
def records():
    """Makers of records, by level."""
    return {"frame": frame_record, "video": video_record}
