"""The program of a rank, and trainings on shards. How a launcher starts it: test_launch."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from deep_trainings import N_ENTITIES, WIDTHS, make_training, start_ranks
from safetensors import SafetensorError
from shard_files import make_frames, write

from yt8m_spark.deep import fit, step_log, worker
from yt8m_spark.deep.checkpoints import list_checkpoints
from yt8m_spark.deep.model_files import load_network
from yt8m_spark.deep.shard_index import index_shards, save_index
from yt8m_spark.errors import InputError

N_VIDEOS = 23


@pytest.fixture
def training(tmp_path):
    """A training on two TFRecord files of 23 videos, read by a process of its own."""
    shards = tmp_path / "shards"
    shards.mkdir()
    rng = np.random.default_rng(0)
    records = [
        make_frames(
            number,
            labels=rng.choice(3 * N_ENTITIES, 2, replace=False),
            features={
                name: rng.integers(0, 256, (3 + number % 4, width), np.uint8)
                for name, width in WIDTHS.items()
            },
        )
        for number in range(N_VIDEOS)
    ]
    write(shards, "a.tfrecord", records[:13])
    write(shards, "b.tfrecord", records[13:])
    made = make_training(tmp_path / "work", checkpoint_seconds=1e9)
    save_index(tmp_path / "index.json", index_shards(str(shards)))
    return dataclasses.replace(made, index=str(tmp_path / "index.json"))


def run(training, n_ranks, *flags):
    ranks = start_ranks(training, n_ranks, *flags, script=worker.__file__)
    printed = [rank.communicate(timeout=100) for rank in ranks]
    return [rank.returncode for rank in ranks], printed


def errors(training):
    found = sorted((Path(training.folder) / "errors").glob("*.json"))
    return {path.name: json.loads(path.read_text()) for path in found}


def test_a_training_runs_to_its_end_and_prints_nothing_on_stdout(training):
    status, [(printed, told)] = run(training, 1)
    assert status == [0], told
    assert (printed, errors(training)) == ("", {})
    load_network(str(Path(training.folder) / "epochs" / "00002"))


def test_a_training_on_shards_goes_on_within_an_epoch_to_the_bit(training, monkeypatch):
    monkeypatch.setattr(step_log, "LINE_SECONDS", 0.0)
    in_process = dataclasses.replace(training.feed, n_readers=0, shuffle_videos=5)
    training = dataclasses.replace(training, feed=in_process, checkpoint_seconds=0.0)
    whole = dataclasses.replace(training, folder=str(Path(training.folder).parent / "whole"))
    Path(whole.folder).mkdir()
    fit.train(whole)
    step = fit.Learner.step

    def stop(learner, batch, global_step):
        if global_step == 4:  # of 3 an epoch: the second of the second
            raise KeyboardInterrupt
        return step(learner, batch, global_step)

    with monkeypatch.context() as patch:
        patch.setattr(fit.Learner, "step", stop)
        with pytest.raises(KeyboardInterrupt):
            fit.train(training)
    fit.train(training, resume=True)
    newest, expected = (
        list_checkpoints(Path(one.folder) / "checkpoints")[0] for one in (training, whole)
    )
    for file in ("weights.safetensors", "optimizer.safetensors", "state.json"):
        assert (newest / file).read_bytes() == (expected / file).read_bytes()


def test_an_input_error_is_left_in_a_file_with_status_2(training):
    lacking = dataclasses.replace(training, index=training.index + ".gone")
    status, [(printed, told)] = run(lacking, 1)
    assert (status, printed) == ([2], "")
    message = f"no such file in {lacking.index}"
    assert errors(training) == {"rank-0.json": {"kind": "input", "message": message}}
    assert message in told
    assert "Traceback" not in told


def test_an_error_of_one_rank_ends_both_and_is_told_apart(training):
    Path(training.folder, "steps.jsonl").mkdir()  # where a file should be
    start = time.monotonic()
    status, _ = run(training, 2)
    assert time.monotonic() - start < 60
    assert status == [1, 1]
    told = errors(training)
    assert {name: error["kind"] for name, error in told.items()} == {
        "rank-0.json": "other",
        "rank-1.json": "peer",
    }
    assert "\n" not in told["rank-0.json"]["message"]


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EFBIG"])
def test_a_disk_that_takes_nothing_is_input_at_fault(tmp_path, monkeypatch, number):
    error = OSError(getattr(errno, number), "no", "here")
    assert fail_with(monkeypatch, tmp_path, error) == 2
    told = json.loads((tmp_path / "errors/rank-0.json").read_text())
    assert told == {"kind": "input", "message": f"cannot write or read: {error}"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SafetensorError("Error: No space left on device (os error 28)"), 2),
        (SafetensorError("Error: File too large (os error 27)"), 2),
        (SafetensorError("InvalidHeader"), 1),
        (ValueError("No space left"), 1),
        (OSError(errno.ESTALE, "Stale file handle"), 1),
    ],
)
def test_safetensors_words_for_a_full_disk_count_alone(tmp_path, monkeypatch, error, status):
    assert fail_with(monkeypatch, tmp_path, error) == status


def fail_with(monkeypatch, folder, error):
    def fail(_path, *, resume):
        raise error

    monkeypatch.setattr(worker, "_train", fail)
    (folder / "training.json").write_text("{}")
    return worker.main([str(folder / "training.json")])


def test_an_end_that_cannot_be_written_comes_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "errors").write_text("a file")
    assert fail_with(monkeypatch, tmp_path, InputError("no")) == 1


def test_no_folder_is_made_for_a_training_that_is_not_there(tmp_path, capsys):
    assert worker.main([str(tmp_path / "nothing/training.json")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


CHAIN = """
import subprocess, sys, time
programs = sys.argv[1:]
if programs:
    subprocess.Popen([sys.executable, *programs])
    time.sleep(60)
else:
    from yt8m_spark.deep import worker
    worker._end_with_launcher()
    open(__file__ + ".ready", "w").write(str(worker.os.getpid()))
    time.sleep(60)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux kills orphans")
@pytest.mark.parametrize("killed", ["wrapper", "torchrun"])
def test_a_rank_does_not_outlive_its_launcher(tmp_path, killed):
    names = ["torch_run_process_wrapper.py", "torchrun.py", "rank.py"]
    files = [tmp_path / name for name in names]
    for file in files:
        file.write_text(CHAIN)
    environment = {**os.environ, "RANK": "0", "PYTHONPATH": str(Path(worker.__file__).parents[2])}
    wrapper = subprocess.Popen([sys.executable, *map(str, files)], env=environment)
    ready = tmp_path / "rank.py.ready"
    wait_for(lambda: ready.exists() and ready.read_text())
    rank = int(ready.read_text())
    torchrun = worker._parent_of(rank)
    assert worker._parent_of(torchrun) == wrapper.pid
    os.kill(wrapper.pid if killed == "wrapper" else torchrun, signal.SIGKILL)
    wait_for(lambda: not is_running(rank))
    wait_for(lambda: not is_running(torchrun))
    wrapper.kill()
    wrapper.wait()


def wait_for(condition):
    last = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < last
        time.sleep(0.05)


def is_running(process):
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_help_is_the_usage(capsys):
    assert worker.main(["--help"]) == 0
    assert "usage: worker.py TRAINING.json" in capsys.readouterr().out


def test_a_wrong_command_line_is_refused(capsys):
    assert worker.main(["--resume"]) == 2
    assert "usage" in capsys.readouterr().err
