"""Networks from shards to metrics, as jobs. What they compute is tested in tests/deep."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from safetensors.numpy import load_file
from shard_files import flip

from yt8m_spark.formats.tfrecord import write_records

SMALL = (
    *("--units=16", "--hidden=8", "--cells=6", "--layers=1", "--horizon=4"),
    *("--batch-size=12", "--n-readers=0", "--epochs=2", "--threads=1"),
)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def weights(folder):
    return load_file(str(Path(folder) / "weights.safetensors"))


def test_two_ranks_train_a_model_that_is_tracked_and_evaluated_as_any_other(
    job, frame_shards, tracking_uri, tmp_path
):
    arguments = ("--model=dbof", "--input", frame_shards, "--output=model", "--n-frames=4")
    validate = ("--validate", tmp_path / "frame1.tfrecord", "--n-processes=2", "--epochs=3")
    made = job("train_deep", *arguments, *SMALL, *validate)
    assert made.status == 0, made.stderr
    assert made.result["outputs"] == {"model": "model"}
    metrics = made.result["metrics"]
    assert (metrics["n_videos"], metrics["n_entities"], metrics["n_steps"]) == (60, 3, 5)
    assert made.stdout.count("\n") == 1  # ranks print to stderr
    entities = pq.read_table(tmp_path / "model/entities").to_pydict()
    assert entities == {"entity": [0, 1, 2], "n_positives": [20, 20, 20]}

    client, run = MlflowClient(tracking_uri), made.result["mlflow_run_id"]
    history = {
        name: client.get_metric_history(run, name)
        for name in ("loss", "learning_rate", "epoch_loss", "validate_map", "validate_hit_at_1")
    }
    assert [point.step for point in history["epoch_loss"]] == [1, 2, 3]
    assert {point.step for point in history["validate_map"]} == {1, 2, 3}
    assert max(point.step for point in history["loss"]) == 15
    assert {point.value for point in history["learning_rate"]} == {0.1}
    by_epoch = {point.step: point.value for point in history["validate_map"]}
    assert metrics["epoch"] == max(by_epoch, key=by_epoch.get)
    params = client.get_run(run).data.params
    assert (params["units"], params["used_n_processes"], params["used_n_frames"]) == (
        "16",
        "2",
        "4",
    )
    assert made.result["metrics"]["n_epochs"] == 3
    assert isinstance(made.result["metrics"]["n_videos"], int)

    evaluated = job(
        "evaluate", "--model=model", "--input", tmp_path / "frame1.tfrecord", "--output=figures"
    )
    assert evaluated.status == 0, evaluated.stderr
    for name in ("map", "hit_at_1", "perr", "gap_at_20"):
        assert evaluated.result["metrics"][name] == pytest.approx(metrics[f"validate_{name}"])
    assert [path.name for path in tmp_path.glob(".*.work")] == []


def pid_of_rank(rank, work):
    """Process of a rank whose training is in the folder ``work``; None while there is none."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().split(b"\0")
            parent = (folder / "status").read_text().split("PPid:\t")[1].split()[0]
            of_parent = (Path("/proc") / parent / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        named = f"{work}/training.json".encode() in command
        # Its readers have its environment, but so has their parent.
        if named and (told := f"RANK={rank}".encode()) in environment and told not in of_parent:
            return int(folder.name)
    return None


def kill_rank(rank, work, killed):
    """Wait for a second checkpoint in ``work``; kill a rank, and note when."""
    while len(list((work / "checkpoints").glob("*/state.json"))) < 2:
        time.sleep(0.02)
    os.kill(pid_of_rank(rank, work), signal.SIGKILL)
    killed.append(time.monotonic())


@pytest.mark.slow
def test_a_killed_rank_ends_the_job_and_the_resumed_training_is_the_undisturbed_one(
    job, frame_shards, tmp_path
):
    arguments = ("--model=dbof", "--input", frame_shards, "--n-frames=4", *SMALL)
    arguments += ("--n-processes=2", "--epochs=40", "--n-readers=1", "--checkpoint-seconds=0")
    work, killed = tmp_path / ".a.work", []
    killer = threading.Thread(target=kill_rank, args=(1, work, killed), daemon=True)
    killer.start()
    failed = job("train_deep", *arguments, "--output=a")
    assert killed, failed.stderr
    assert time.monotonic() - killed[0] < 20
    assert failed.status == 1
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("train_deep: failed: rank 1 of 2 was killed by SIGKILL"), failed.stderr
    assert ".a.work: go on with --resume" in failed.stderr
    assert "Traceback" not in last
    assert not (tmp_path / "a").exists()

    other = job("train_deep", *arguments, "--output=a", "--resume", "--units=17")
    assert other.status == 2
    assert "cannot resume: --units has changed, expected 16, found 17" in other.error

    resumed = job("train_deep", *arguments, "--output=a", "--resume")
    assert resumed.status == 0, resumed.stderr
    undisturbed = job("train_deep", *arguments, "--output=b")
    assert undisturbed.status == 0, undisturbed.stderr
    a, b = weights("a"), weights("b")
    assert a.keys() == b.keys()
    for name, values in b.items():
        np.testing.assert_array_equal(a[name], values, err_msg=name)


def without_frames(records, tmp_path):
    """A shard whose videos 3 and 5 have no frames."""
    made = [records["frame"](i, n_frames=0 if i in (3, 5) else 4) for i in range(9)]
    write_records(str(tmp_path / "some.tfrecord"), made)
    return tmp_path / "some.tfrecord"


def test_videos_without_frames_are_refused_or_skipped(job, records, tmp_path):
    shard = without_frames(records, tmp_path)
    arguments = ("--model=lstm", "--input", shard, "--output=model", *SMALL, "--batch-size=4")
    refused = job("train_deep", *arguments)
    assert refused.status == 2
    assert "2 of 9 videos have no frames" in refused.error
    assert "video v003" in refused.error
    made = job("train_deep", *arguments, "--without-frames=skip")
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["n_without_frames"] == 2
    assert made.result["metrics"]["epoch"] == 2  # the last: nothing to choose by


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--device=cuda",), "there is no GPU"),
        (("--n-processes=3",), "fewer shards than ranks"),
        (("--n-frames=0",), "DBoF learns from a number of frames"),
        (("--features=inc3",), "inc3"),
        (("--initial-model=none",), "none"),
        (("--validate=none",), "none"),
        (("--validate=wide.tfrecord",), "frames are not those that are learned from"),
        (("--batch-size=1",), "too few videos are normalized together"),
        (("--model=cnn",), "expected one of dbof, lstm, mean, found cnn"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_before_the_training(
    job, frame_shards, records, tmp_path, options, message
):
    if "--device=cuda" in options:
        pytest.importorskip("torch")
    write_records(str(tmp_path / "wide.tfrecord"), [records["frame"](0, width=9)])
    arguments = ("--model=dbof", "--input", frame_shards, "--output=model", *SMALL)
    finished = job("train_deep", *arguments, *options)
    assert finished.status == 2, finished.stderr
    assert message in finished.error
    assert sorted(tmp_path.glob("*model*")) == sorted(tmp_path.glob(".model.*")) == []


def test_records_of_videos_are_refused(job, video_shards, tmp_path):
    finished = job("train_deep", "--model=lstm", "--input", video_shards, "--output=model")
    assert finished.status == 2, finished.stderr
    assert "video" in finished.error
    assert not (tmp_path / "model").exists()


def test_ranks_are_tasks_of_spark_too_and_a_loss_that_is_no_number_is_told(
    job, frame_shards, tmp_path
):
    # One record is corrupt: it is passed over.
    flip(tmp_path / "frame1.tfrecord", 40)
    job("convert_tfrecords", "--input", frame_shards, "--output=frames", "--mode=permissive")
    arguments = ("--model=lstm", "--input=frames", *SMALL, "--n-processes=2", "--epochs=1")
    made = job("train_deep", *arguments, "--output=a", "--launch=spark")
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["n_without_frames"] == 1
    local = job("train_deep", *arguments, "--output=b")
    assert local.status == 0, local.stderr
    for name, values in weights("b").items():
        np.testing.assert_array_equal(weights("a")[name], values, err_msg=name)
    wild = ("--learning-rate=1e38", "--launch=spark", "--output=c")
    stopped = job("train_deep", *arguments, *wild)
    assert stopped.status == 2, stopped.stderr
    assert "training stops" in stopped.error
    assert "batch" in stopped.error


def test_recipes_on_networks_run_beside_others(job, frame_shards, tmp_path):
    options = ["units = 16", "hidden = 8", "cells = 6", "layers = 1", "batch_size = 12"]
    (tmp_path / "networks.toml").write_text("\n".join([*options, "epochs = 2", "n_readers = 0"]))
    made = job(
        "run_pipeline",
        *("--train", frame_shards, "--test", tmp_path / "frame0.tfrecord", "--output=results"),
        *("--recipes=dbof,lstm,logistic_mean", "--networks=networks.toml", "--epochs=2"),
    )
    assert made.status == 0, made.stderr
    named = {name.partition(".")[0] for name in made.result["metrics"]}
    assert named == {"majority", "dbof", "lstm", "logistic_mean"}
    table = (tmp_path / "results/table.txt").read_text()
    assert "lstm" in table
    assert (tmp_path / "results/models/dbof/weights.safetensors").exists()
    assert not (tmp_path / "results/work").exists()


def test_without_torch_the_job_says_what_to_install(job, frame_shards, monkeypatch):
    monkeypatch.setattr("yt8m_spark.network_config.find_spec", lambda name: None)
    finished = job("train_deep", "--model=dbof", "--input", frame_shards, "--output=model")
    assert finished.status == 2
    assert "torch is not installed" in finished.error
    assert "pip install 'yt8m_spark[deep]'" in finished.error


WITHOUT_TORCH = """
import importlib.abc, runpy, sys
from pathlib import Path

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "safetensors"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
for path in sorted(Path(sys.argv[1]).glob("*.py")):
    runpy.run_path(str(path), run_name="imported")
assert "torch" not in sys.modules
"""


def test_no_job_needs_torch_to_start(tmp_path):
    jobs = Path(__file__).parents[2] / "jobs"
    command = [sys.executable, "-c", WITHOUT_TORCH, str(jobs)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
