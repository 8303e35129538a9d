"""Checkpoints as files. That a training goes on from them to the bit: test_fit."""

import json

import pytest
import torch

from yt8m_spark.deep.checkpoints import (
    Place,
    list_checkpoints,
    load_checkpoint,
    newest_whole,
    remove_later,
    save_checkpoint,
)
from yt8m_spark.deep.learner import LearnerState
from yt8m_spark.errors import InputError

IDENTITY = {"entities": "abc", "network widths": {"rgb": 6}}


def make_state(value):
    weights = {"layer.weight": torch.full((2, 3), value), "layer.count": torch.tensor(3)}
    return LearnerState(weights, {"layer.weight/sum": torch.full((2, 3), value**2)}, {})


def save(folder, step, n_kept=5):
    return save_checkpoint(
        folder, Place(1, step, step, 8 * step, 1 / 3), make_state(0.1 * step), IDENTITY, n_kept
    )


def test_a_checkpoint_comes_back_to_the_bit(tmp_path):
    place, state = load_checkpoint(save(tmp_path, 7), IDENTITY)
    assert place == Place(1, 7, 7, 56, 1 / 3)
    for found, expected in zip(state, make_state(0.1 * 7), strict=True):
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in found)


def test_only_the_newest_stay(tmp_path):
    for step in (9, 10, 11, 100):
        save(tmp_path, step, n_kept=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["00000100", "00000011"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000011", "00000100"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "state.json").unlink(),
        lambda path: (path / "state.json").write_text('{"place": {"epoch"'),
        lambda path: (path / "state.json").write_text("{}"),
        lambda path: (path / "optimizer.safetensors").unlink(),
        lambda path: (path / "weights.safetensors").write_bytes(b""),
        lambda path: cut(path / "weights.safetensors"),
        lambda path: flip(path / "optimizer.safetensors"),
    ],
)
def test_a_torn_checkpoint_is_passed_over_for_the_one_before(tmp_path, damage, capsys):
    save(tmp_path, 3)
    damage(save(tmp_path, 4))
    (tmp_path / ".00000005.17.tmp").mkdir()  # of a process that was killed
    assert newest_whole(tmp_path) == tmp_path / "00000003"
    assert "00000004 is passed over" in capsys.readouterr().err


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    held = bytearray(path.read_bytes())
    held[-1] ^= 1
    path.write_bytes(held)


def test_what_is_later_goes_so_that_it_pushes_out_no_whole_one(tmp_path):
    for step in (3, 4, 5):
        flip(save(tmp_path, step) / "weights.safetensors")
    (tmp_path / ".00000006.17.tmp").mkdir()
    remove_later(tmp_path, tmp_path / "00000003")
    save(tmp_path, 4, n_kept=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000003", "00000004"]
    remove_later(tmp_path, None)
    assert not list(tmp_path.iterdir())


def test_where_there_is_no_whole_checkpoint_there_is_none(tmp_path):
    assert newest_whole(tmp_path / "nothing") is None
    flip(save(tmp_path, 4) / "weights.safetensors")
    assert newest_whole(tmp_path) is None


def test_a_checkpoint_of_another_training_is_refused_by_what_differs(tmp_path):
    path = save(tmp_path, 4)
    with pytest.raises(InputError, match=r"another training: entities differs in .*00000004"):
        load_checkpoint(path, IDENTITY | {"entities": "xyz"})


def test_a_checkpoint_is_safetensors_and_json_alone(tmp_path):
    path = save(tmp_path, 4)
    names = {"weights.safetensors", "optimizer.safetensors", "average.safetensors", "state.json"}
    assert {file.name for file in path.iterdir()} == names
    assert json.loads((path / "state.json").read_text())["belongs_to"] == IDENTITY
