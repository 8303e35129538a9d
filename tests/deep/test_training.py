"""The file of a training. What its values do is tested where they are used."""

import json

import pytest
from deep_trainings import make_training

from yt8m_spark.deep.training import load_training, save_training
from yt8m_spark.errors import InputError


def test_a_training_comes_back_as_it_was_saved(tmp_path):
    training = make_training(tmp_path, ema=0.99, initial_model="model", clip=2.5)
    save_training(tmp_path / "training.json", training)
    found = load_training(tmp_path / "training.json")
    assert found == training
    # rgb before audio: a dict compares equal in any order, a frame's vector does not.
    assert list(found.network.widths) == list(found.feed.widths) == ["rgb", "audio"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("optimizer", "sgd"),
        ("precision", "fp16"),
        ("device", "tpu"),
        ("trainable", "none"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("accumulator_start", 0.0),
        ("weight_decay", -1e-4),
        ("clip", -1.0),
        ("ema", 1.0),
        ("epochs", 0),
        ("keep_checkpoints", 0),
        ("n_threads", 0),
        ("micro_batch", -1),
    ],
)
def test_values_out_of_range_are_refused(tmp_path, name, value):
    with pytest.raises(InputError, match=f"wrong {name.replace('_', ' ')}, expected .*, found"):
        make_training(tmp_path, **{name: value})


def test_a_feed_of_other_lists_than_the_networks_is_refused(tmp_path):
    training = make_training(tmp_path)
    described = json.loads(json.dumps({"rgb": 6, "audio": 3}))
    import dataclasses

    with pytest.raises(InputError, match="widths of the network"):
        dataclasses.replace(training, feed=dataclasses.replace(training.feed, widths=described))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.pop("folder"), "folder"),
        (lambda d: d.update(momentum=0.9), "momentum"),
        (lambda d: d.update(feed=3), "options of the feed"),
        (lambda d: d["network"].update(depth=9), "depth"),
    ],
)
def test_a_file_that_is_no_training_is_refused(tmp_path, change, told):
    path = tmp_path / "training.json"
    save_training(path, make_training(tmp_path))
    described = json.loads(path.read_text())
    change(described)
    path.write_text(json.dumps(described))
    with pytest.raises(InputError, match=f"not a training in .*training.json.*{told}"):
        load_training(path)
