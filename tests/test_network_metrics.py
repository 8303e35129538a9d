"""What is logged of a training under way, from files that a test writes. Ranks are not run."""

import json
import shutil
import time

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.network_metrics import epoch_models, follow_network


class Tracked:
    """Keeps what is logged: (name, value, step)."""

    def __init__(self):
        self.points = []

    def log_metrics(self, metrics, *, step=0):
        self.points += [(name, value, step) for name, value in metrics.items()]

    def log_entry(self, entry):
        self.points += [(name, value, step) for name, value, _, step in entry["values"]]

    def of(self, name):
        return [(step, value) for found, value, step in self.points if found == name]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("yt8m_spark.network_metrics._SECONDS", 0.02)


def log(work, *lines, torn=""):
    with (work / "steps.jsonl").open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines) + torn)


def a_step(number, loss):
    figures = {"examples_per_second": 10.0, "learning_rate": 0.1}
    return {"epoch": 1, "step": number, "global_step": number, "loss": loss, **figures}


def model(work, epoch):
    folder = work / f"epochs/{epoch:05d}"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")


def follow(work, tracked, **options):
    return follow_network(tracked, str(work), n_steps=2, n_epochs=3, **options)


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_every_line_is_logged_once_and_a_torn_one_when_it_is_whole(tmp_path):
    tracked = Tracked()
    whole = json.dumps(a_step(2, 0.5)) + "\n"
    with follow(tmp_path, tracked) as followed:
        log(tmp_path, a_step(1, 0.75), torn=whole[:9])
        wait_for(lambda: tracked.of("loss"))
        assert tracked.of("loss") == [(1, 0.75)]
        log(tmp_path, torn=whole[9:])
        log(tmp_path, {"epoch": 1, "step": 2, "global_step": 2, "epoch_loss": 0.625})
    assert tracked.of("loss") == [(1, 0.75), (2, 0.5)]
    assert tracked.of("epoch_loss") == [(1, 0.625)]
    assert tracked.of("learning_rate") == [(1, 0.1), (2, 0.1)]
    assert followed.last["loss"] == 0.5


def test_each_model_is_validated_and_the_best_stays_beside_the_newest(tmp_path):
    tracked, maps = Tracked(), {1: 0.25, 2: 0.75, 3: 0.5, 4: 0.5}
    validated = []

    def validate(folder):
        validated.append(int(folder[-5:]))
        return {"map": maps[validated[-1]], "hit_at_1": 1.0}

    with follow(tmp_path, tracked, validate=validate, keep=1) as followed:
        model(tmp_path, 1)
        wait_for(lambda: validated == [1])  # while the training goes on
        for epoch in (2, 3, 4):
            model(tmp_path, epoch)
    assert validated == [1, 2, 3, 4]
    assert tracked.of("validate_map") == sorted(maps.items())
    assert followed.best_epoch == 2
    assert list(epoch_models(tmp_path)) == [2, 4]


def test_a_training_that_goes_on_knows_what_was_validated(tmp_path):
    def validate(folder):
        return {"map": 0.5 if folder.endswith("1") else 0.25}

    with follow(tmp_path, Tracked(), validate=validate):
        model(tmp_path, 1)
    shutil.rmtree(tmp_path / "epochs/00001")
    tracked = Tracked()
    with follow(tmp_path, tracked, validate=validate) as followed:
        model(tmp_path, 2)
    assert tracked.of("validate_map") == [(1, 0.5), (2, 0.25)]
    assert followed.best_epoch == 1


def test_a_validation_that_fails_waits_for_the_end_of_the_training(tmp_path):
    reached = []

    def validate(_):
        raise InputError("no such column")

    def train():
        with follow(tmp_path, Tracked(), validate=validate):
            model(tmp_path, 1)
            time.sleep(0.1)
            reached.append(True)

    with pytest.raises(InputError, match="no such column"):
        train()
    assert reached
    assert list(epoch_models(tmp_path)) == [1]


def test_figures_that_cannot_be_logged_do_not_stop_a_training(tmp_path, capsys):
    with follow(tmp_path, Tracked()):
        log(tmp_path, {"loss": 1.0})
    assert "no figures of the training under way" in capsys.readouterr().err
