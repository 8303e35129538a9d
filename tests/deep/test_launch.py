"""What becomes of ranks that fail. Ranks that run are tested with the job, in tests/jobs."""

import json
import logging
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from yt8m_spark.deep.launch import launch
from yt8m_spark.errors import InputError, RankError

KILLED = """W1124 18:17:09.4 97 torch/distributed/elastic/multiprocessing/api.py:1028] Sending
E1124 18:17:09.4 97 torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: -9)
============================================================
worker.py FAILED
Failures:
[1]:
  time      : 2026-11-24_18:17:09
  host      : localhost
  rank      : 1 (local_rank: 1)
  exitcode  : -15 (pid: 9910)
Root Cause (first observed failure):
[0]:
  time      : 2026-11-24_18:17:09
  host      : localhost
  rank      : 0 (local_rank: 0)
  exitcode  : -9 (pid: 9909)
  error_file: <N/A>
============================================================
after
"""
LINE = {"epoch": 2, "step": 7, "global_step": 17, "loss": 0.5}
END = {"epoch": 1, "step": 10, "global_step": 10, "epoch_loss": 0.7}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Launch two ranks that print a text, leave errors and perhaps a model."""
    (tmp_path / "training.json").write_text(json.dumps({"epochs": 1}))

    def start(printed="", errors=(), ends=False, raises=None):
        class Distributor:
            def __init__(self, **options):
                self.logger = logging.getLogger("test")

            def run(self, script, *arguments):
                for line in printed.splitlines(keepends=True):
                    sys.stdout.write(line)
                for rank, kind, message in errors:
                    path = tmp_path / f"errors/rank-{rank}.json"
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(json.dumps({"kind": kind, "message": message}))
                if ends:
                    (tmp_path / "epochs/00001").mkdir(parents=True)
                    (tmp_path / "epochs/00001/model.json").write_text("{}")
                if raises is not None:
                    raise raises

        monkeypatch.setattr("pyspark.ml.torch.distributor.TorchDistributor", Distributor)
        launch(None, str(tmp_path / "training.json"), n_processes=2)

    return start


def test_a_launch_that_leaves_the_last_model_is_well(run, capsys):
    run(printed="a word\nrank-0: error: no\n", ends=True)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "a word\n"  # errors of input are told once, by the job


def test_an_error_of_input_wins_over_ranks_that_lost_their_peer(run):
    with pytest.raises(InputError, match=r"^training stops$"):
        run(errors=[(0, "peer", "closed"), (1, "input", "training stops")])


def test_a_rank_killed_by_a_signal_is_named_with_where_the_training_stood(run, tmp_path, capsys):
    (tmp_path / "steps.jsonl").write_text(f"{json.dumps(LINE)}\n{json.dumps(END)}\n{{torn")
    with pytest.raises(RankError) as caught:
        run(printed=KILLED, errors=[(1, "peer", "closed")])
    assert str(caught.value) == (
        "rank 0 of 2 was killed by SIGKILL (out of memory?) in epoch 2, after step 7 (loss 0.5)"
    )
    assert capsys.readouterr().err == "after\n"


def test_a_rank_that_fails_by_itself_is_told_by_its_message(run):
    errors = [(0, "peer", "closed"), (1, "other", "MemoryError: no\nroom")]
    with pytest.raises(RankError, match=r"^rank 1 of 2 failed: MemoryError: no room before the"):
        run(errors=errors)


def test_a_rank_whose_peers_alone_speak_ended_without_a_word(run):
    with pytest.raises(
        RankError, match=r"^rank 1 of 2 ended without a word before the first step$"
    ):
        run(errors=[(0, "peer", "closed")])


@pytest.mark.parametrize("raises", [None, RuntimeError("no slots\nat all")])
def test_a_launch_that_leaves_nothing_has_failed(run, raises):
    expected = "at all" if raises else "no reason told"
    with pytest.raises(RankError, match=f"could not be run: {expected}"):
        run(raises=raises)


@pytest.mark.parametrize(
    ("status", "output", "told"),
    [
        ("-9", "", "the launcher was killed by SIGKILL (out of memory?)"),
        ("1", "", "the launcher ended with status 1"),
        ("1", "a line\nNo module named torch\n", "No module named torch"),
    ],
)
def test_the_command_line_of_pysparks_wrapper_is_not_told(run, status, output, told):
    text = (
        f"Command ['/bin/python', '-m', 'wrapper', '--id=[1]'] failed with return code {status}. "
        f"The task output is included below: {output}"
    )
    with pytest.raises(RankError) as caught:
        run(raises=RuntimeError(text))
    assert str(caught.value).startswith(f"the ranks could not be run: {told} before the first")


def test_errors_of_an_earlier_launch_are_forgotten(run, tmp_path):
    (tmp_path / "errors").mkdir()
    (tmp_path / "errors/rank-0.json").write_text('{"kind": "input", "message": "old"}')
    run(ends=True)


def test_tasks_without_gpus_are_refused(tmp_path):
    file, spark = str(tmp_path / "training.json"), SimpleNamespace(conf={})
    with pytest.raises(InputError, match="no GPU for a task"):
        launch(spark, file, n_processes=1, mode="spark", use_gpu=True)
