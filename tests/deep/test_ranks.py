"""What the environment says of the ranks. Groups of two processes: test_fit and test_worker."""

import fcntl
import os

import pytest
import torch

from yt8m_spark.deep.ranks import alone_in, joined_ranks
from yt8m_spark.errors import InputError


def test_without_a_launcher_there_is_one_rank_on_the_cpu(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with joined_ranks("cpu") as ranks:
        assert ranks == (0, 1, torch.device("cpu"))
        assert ranks.leads
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"RANK": "one"}, "wrong RANK, expected a whole number, found one"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "wrong RANK, expected 0 to 1, found 2"),
        ({"WORLD_SIZE": "0"}, "wrong RANK"),
        ({"LOCAL_RANK": "x"}, "wrong LOCAL_RANK"),
    ],
)
def test_damaged_variables_are_refused(monkeypatch, variables, told):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=told), joined_ranks("cpu"):
        pass


@pytest.mark.parametrize(("n_gpus", "local_rank"), [(0, "0"), (1, "1")])
def test_a_rank_without_a_gpu_of_its_own_is_refused_where_one_is_asked_for(
    monkeypatch, n_gpus, local_rank
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    told = f"there is no GPU in rank 0.*found {n_gpus} of them"
    with pytest.raises(InputError, match=told), joined_ranks("cuda"):
        pass


def test_more_ranks_than_gpus_go_to_the_cpu_together_if_they_may(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with joined_ranks("auto") as ranks:
        assert ranks.device.type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_rank_takes_the_gpu_that_is_there():
    with joined_ranks("auto") as ranks:
        assert ranks.device == torch.device("cuda", 0)


def test_a_reader_that_has_not_ended_yet_does_not_hold_the_lock_of_a_training(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("yt8m_spark.deep.ranks._LOCK_SECONDS", 0.0)
    flock, copies = fcntl.flock, []

    def keep(descriptor, operation):
        copies.append(os.dup(descriptor))  # as a forked process has
        flock(descriptor, operation)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", keep)
        with alone_in(tmp_path), pytest.raises(InputError, match="running"), alone_in(tmp_path):
            pass
    with alone_in(tmp_path):
        pass
    for copy in copies:
        os.close(copy)


def test_a_file_system_without_locks_is_passed_over(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with alone_in(tmp_path), alone_in(tmp_path):
        pass
