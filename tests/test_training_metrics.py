"""Figures of a training under way, from work folders written by hand.

What tasks put up is tested in tests/spark/test_loss_board.py, the job in test_train_entities.py.
"""

import json
import math
import threading
import time

import numpy as np
import pytest

from yt8m_spark import training_metrics
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.spark.plan import Plan, write_plan
from yt8m_spark.training_metrics import follow_training, training_figures


class Tracked:
    """Keeps what is logged; fails if told so."""

    def __init__(self, error=None):
        self.points = []
        self.error = error

    def log_metrics(self, metrics, *, step):
        if self.error:
            raise self.error
        self.points.append((step, metrics))


@pytest.fixture
def work(tmp_path):
    """Five entities in blocks of two, four passes."""
    plan = Plan(
        loss="logistic",
        n_experts=1,
        options=TrainingOptions(n_epochs=4),
        entities=np.arange(5),
        n_positives=np.ones(5, np.int64),
        block_size=2,
        shards="shards",
        shards_digest="x",
    )
    write_plan(str(tmp_path), plan)
    (tmp_path / "losses").mkdir()
    (tmp_path / "blocks").mkdir(exist_ok=True)
    return tmp_path


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(training_metrics, "_SECONDS", 0.01)
    monkeypatch.setattr(training_metrics, "_LEAST_SECONDS", 0.0)


def put_up(work, number, losses, n_entities=2):
    board = {"n_entities": n_entities, "losses": losses}
    temporary = work / "losses" / f".{number}"
    temporary.write_text(json.dumps(board))
    temporary.rename(work / "losses" / f"{number:05d}.json")


def finish(work, number):
    (work / "blocks" / f"block-{number:05d}.parquet").touch()


def wait_for(condition):
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_figures_are_of_what_is_trained_so_far(work):
    put_up(work, 0, [4.0, 2.0, 1.0, 0.5])
    finish(work, 0)
    put_up(work, 2, [3.0, 2.0], n_entities=1)
    figures = training_figures(str(work))
    assert figures.running_loss == pytest.approx((2 * 0.5 + 1 * 2.0) / 3)
    assert figures.entities_done == 2
    assert figures.share_done == pytest.approx((2 * 4 + 1 * 2) / (5 * 4))


def test_a_block_that_stopped_early_is_done(work):
    put_up(work, 0, [4.0, 2.0])  # its entities have converged
    finish(work, 0)
    assert training_figures(str(work)).share_done == pytest.approx(2 / 5)


def test_without_a_plan_or_a_pass_there_is_no_loss(work, tmp_path):
    assert math.isnan(training_figures(str(work)).running_loss)
    (work / "plan.json").unlink()
    assert training_figures(str(work)) is None


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"losses": 3, "n_entities": 1}', "{}"])
def test_a_board_that_cannot_be_read_counts_as_none(work, text):
    (work / "losses" / "00001.json").write_text(text)
    assert training_figures(str(work)).share_done == 0


def test_points_have_rising_percents_and_the_last_is_the_end(work, fast):
    tracked = Tracked()
    with follow_training(tracked, str(work)):
        put_up(work, 0, [4.0])
        wait_for(lambda: tracked.points)
        for number, n in [(0, 2), (1, 2), (2, 1)]:
            put_up(work, number, [4.0, 3.0, 2.0, 1.0], n)
            finish(work, number)
    steps = [step for step, _ in tracked.points]
    assert steps == sorted(set(steps))
    assert steps[0] == 10  # 2 passes of 20
    assert tracked.points[0][1]["running_loss"] == 4.0
    assert tracked.points[-1] == (
        100,
        {"running_loss": 1.0, "entities_done": 5, "share_done": 1.0},
    )


def test_points_are_few(work, monkeypatch):
    monkeypatch.setattr(training_metrics, "_SECONDS", 0.01)
    tracked = Tracked()
    with follow_training(tracked, str(work)):
        for n in range(1, 5):
            put_up(work, 0, [1.0] * n)
            time.sleep(0.05)
    assert len(tracked.points) <= 2  # the first, and the one at the end


def test_a_training_that_fails_leaves_its_last_point_and_its_error(work, fast):
    tracked = Tracked()
    n_threads = threading.active_count()
    put_up(work, 0, [4.0])
    with pytest.raises(RuntimeError, match="mid-way"), follow_training(tracked, str(work)):
        raise RuntimeError("mid-way")
    assert [step for step, _ in tracked.points] == [10]
    assert threading.active_count() == n_threads


def test_whatever_goes_wrong_the_training_goes_on(work, fast, capsys):
    with follow_training(Tracked(ZeroDivisionError("oops")), str(work)):
        put_up(work, 0, [4.0])
        wait_for(lambda: "oops" in capsys.readouterr().err)
