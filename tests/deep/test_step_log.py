"""Losses of one rank and their lines. Those of several ranks: test_fit."""

import json

import pytest
import torch
from deep_trainings import make_training
from numpy.testing import assert_allclose

from yt8m_spark.deep import step_log
from yt8m_spark.deep.checkpoints import Place
from yt8m_spark.deep.ranks import Ranks
from yt8m_spark.deep.step_log import LossError, StepLog

ALONE = Ranks(0, 1, torch.device("cpu"))


def lines(folder):
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def add(log, *losses, n_videos=8):
    for loss in losses:
        log.add(torch.tensor(loss), n_videos)


def test_a_line_is_the_mean_over_the_videos_since_the_one_before(tmp_path):
    log = StepLog(make_training(tmp_path), ALONE, Place())
    add(log, 4.0)
    log.exchange()
    add(log, 3.0, 2.0)
    add(log, 1.0, n_videos=2)
    log.exchange()
    first, second = lines(tmp_path)
    assert (first["step"], first["loss"]) == (1, 4.0)
    assert (second["step"], second["global_step"]) == (4, 4)
    assert_allclose(second["loss"], (8 * 3 + 8 * 2 + 2 * 1) / 18)
    assert log.place == Place(0, 4, 4, 26, 8 * 4 + 8 * 3 + 8 * 2 + 2 * 1)


def test_the_mean_of_an_epoch_counts_what_came_before_a_stop(tmp_path):
    log = StepLog(make_training(tmp_path), ALONE, Place(2, 5, 25, 40, 120.0))
    add(log, 1.0, n_videos=10)
    log.exchange()
    assert log.end_epoch() == Place(3, 0, 26)
    assert lines(tmp_path)[-1] == {
        "epoch": 3,
        "step": 6,
        "global_step": 26,
        "epoch_loss": (120 + 10) / 50,
        "n_videos": 50,
    }
    add(log, 1.0)
    log.exchange()
    assert [lines(tmp_path)[-1][name] for name in ("epoch", "step", "global_step")] == [4, 1, 27]


def test_lines_behind_the_checkpoint_and_half_lines_are_removed(tmp_path):
    path = tmp_path / "steps.jsonl"
    held = [{"global_step": step, "loss": 1.0} for step in (1, 2, 3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in held) + '{"global_step": 2, "lo')
    StepLog(make_training(tmp_path), ALONE, Place(0, 2, 2))
    assert lines(tmp_path) == held[:2]


def test_a_bad_loss_is_told_with_its_place_and_those_before_it_are_kept(tmp_path):
    log = StepLog(make_training(tmp_path), ALONE, Place(1, 3, 7, 24, 24.0))
    add(log, 2.0, 3.0, float("nan"), 1.0)
    with pytest.raises(LossError) as stopped:
        log.exchange()
    place = stopped.value.place
    assert (place.epoch, place.step, place.global_step) == (1, 5, 9)
    (line,) = lines(tmp_path)
    assert (line["global_step"], line["loss"]) == (9, 2.5)


def test_lines_come_about_as_often_as_they_should(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(step_log.time, "monotonic", lambda: now[0])
    log = StepLog(make_training(tmp_path, checkpoint_seconds=3.0), ALONE, Place())
    written, due = [], []
    for step in range(1, 60):
        now[0] += 0.1
        add(log, 1.0)
        if log.is_due:
            due.append(log.exchange())
            if due[-1]:
                log.saved()
            written.append(step)
    # The first step tells how long one takes, 0.1 s; then ten of them make a second.
    assert written == [1, 11, 21, 31, 41, 51]
    assert due == [False, False, False, True, False, False]
    assert_allclose(lines(tmp_path)[-1]["examples_per_second"], 80.0)
