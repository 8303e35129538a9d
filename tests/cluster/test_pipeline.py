"""The whole line on a cluster beside local mode. What stages compute is in tests/spark.

One fault is here; all the others are in test_faults, for `make faults`.
"""

import json
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from cluster import line
from cluster.fault_stages import STAGES, Site, leftovers, same_outputs
from cluster.processes import hit

from yt8m_spark.formats.examples import FrameRecord, encode_frames
from yt8m_spark.formats.tfrecord import write_records

pytestmark = pytest.mark.timeout(2400)  # the first waits for the whole line


def write_shards(folder, split, n_shards):
    """Shards of 25 videos; entity ``e`` is a little brighter in feature ``e``: not easily told."""
    rng = np.random.default_rng(len(split))
    for shard in range(n_shards):
        records = []
        for i in range(25):
            labels = np.flatnonzero(rng.random(4) < 0.4)
            codes = rng.integers(80, 170, size=(5, 8), dtype=np.uint8)
            codes[:, labels] += 12
            video = FrameRecord(f"{split}{shard}-{i:02d}", labels, {"rgb": codes}, None)
            records.append(encode_frames(video))
        write_records(str(folder / f"{split}{shard}.tfrecord"), records)


@pytest.fixture(scope="module")
def local(spark, tmp_path_factory):
    """Folder of a line in local mode."""
    folder = tmp_path_factory.mktemp("local")
    run_here(folder)
    return folder


@pytest.fixture(scope="module")
def submitted(cluster, archive, tmp_path_factory):
    """Folder of the same line on the cluster, with the packed environment."""
    folder = tmp_path_factory.mktemp("submitted")
    make_shards(folder)
    application = cluster.submit(Path(line.__file__), cwd=folder, archive=archive)
    assert application.wait() == 0, application.text
    return folder


def make_shards(folder):
    (folder / "frames").mkdir()
    write_shards(folder / "frames", "train", 4)
    write_shards(folder / "frames", "test", 2)


def run_here(folder):
    make_shards(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        line.run_line()


def rows(table):
    """Columns of a table in the order of its videos; floats in single precision as they are."""
    return pq.read_table(table).sort_by("video_id").to_pydict()


def test_executors_use_the_packed_wheel_in_a_folder_of_their_own(submitted, cluster):
    found = json.loads((submitted / "executors.json").read_text())
    assert len(found) == len(cluster.workers)
    for package, python, cwd in found:
        assert Path(cwd).is_relative_to(cluster.folder)
        assert Path(package).is_relative_to(Path(cwd) / "environment")
        assert Path(python).is_relative_to(Path(cwd) / "environment")


@pytest.mark.parametrize("name", line.TABLES)
def test_tables_are_those_of_local_mode(submitted, local, name):
    ours, theirs = rows(submitted / name), rows(local / name)
    assert ours.keys() == theirs.keys()
    for column, values in theirs.items():
        if isinstance(values[0], list) and isinstance(values[0][0], float):
            np.testing.assert_allclose(ours[column], values, rtol=1e-5, atol=1e-5)
        elif column != "shard":
            assert ours[column] == values, column


@pytest.mark.parametrize("name", line.MODELS)
def test_weights_are_those_of_local_mode(submitted, local, name):
    ours, theirs = (
        pq.read_table(folder / name / "entities").sort_by("entity") for folder in (submitted, local)
    )
    assert ours["entity"].to_pylist() == theirs["entity"].to_pylist()
    for one, other in zip(ours["weights"].to_pylist(), theirs["weights"].to_pylist(), strict=True):
        weights = np.frombuffer(other, "<f4")
        np.testing.assert_allclose(np.frombuffer(one, "<f4"), weights, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", line.EVALUATIONS)
def test_metrics_are_those_of_local_mode(submitted, local, name):
    ours, theirs = (
        json.loads((folder / name / "metrics.json").read_text()) for folder in (submitted, local)
    )
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_nothing_is_left_beside_the_outputs(submitted):
    hidden = {path.name for path in submitted.glob(".*")}
    assert not {name for name in hidden if not name.startswith(".mlflow")}


def test_an_executor_killed_in_training_changes_no_bit(cluster, spark, tmp_path, monkeypatch):
    stage, site = STAGES["training"], Site(cluster, tmp_path)
    stage.make(tmp_path)

    def kill(_):
        hit(signal.SIGKILL, cluster.workers[0].executors())

    finished = site.run(stage, "model", strike=kill)
    assert finished.status == 0, finished.application.text
    monkeypatch.chdir(tmp_path)
    line.run_job(stage.job, *stage.options, "--output=whole")
    assert same_outputs(stage, tmp_path / "model", tmp_path / "whole")
    assert leftovers(tmp_path / "model") == []
