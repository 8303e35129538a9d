"""Checkpoints as files. That a training goes on from them to the bit: test_fit."""

import errno
import json
from pathlib import Path

import pytest
import torch

from yt8m_spark.deep.checkpoints import (
    Place,
    list_checkpoints,
    load_checkpoint,
    newest_whole,
    remove_later,
    remove_models_after,
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
        lambda path: (path / "state.json").write_bytes(bytes(9)),
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
    torn = [".torn-00000004", ".torn-00000005"]
    kept = ["00000003", "00000004"]
    assert sorted(path.name for path in tmp_path.iterdir()) == torn + kept
    remove_later(tmp_path, tmp_path / "00000003")  # a second one of that number
    assert sorted(path.name for path in tmp_path.iterdir()) == [*torn, "00000003"]


def test_where_no_checkpoint_is_whole_nothing_begins_anew(tmp_path):
    assert newest_whole(tmp_path / "nothing") is None
    (tmp_path / "00000009").write_text("a file")
    (tmp_path / "\u00b2").mkdir()  # a digit to Python, but no number
    assert newest_whole(tmp_path) is None
    flip(save(tmp_path, 4) / "weights.safetensors")
    with pytest.raises(InputError, match=r"no checkpoint is whole.*--overwrite"):
        newest_whole(tmp_path)


def test_a_checkpoint_that_cannot_be_read_just_now_is_not_passed_over(tmp_path, monkeypatch):
    save(tmp_path, 3)
    newest, opened = save(tmp_path, 4), Path.open

    def stale(path, *arguments, **options):
        if path == newest / "optimizer.safetensors":
            raise OSError(errno.ESTALE, "Stale file handle")
        return opened(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", stale)
        with pytest.raises(OSError, match="Stale"):
            newest_whole(tmp_path)
    assert newest_whole(tmp_path) == newest


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"place": {"pass": 1}}, "unknown format"),
        ({"digests": {"weights.npz": "00"}}, "unknown format"),
        ({"place": {"epoch": "1"}}, "wrong epoch.*expected a count, found 1"),
        ({"place": {"step": True}}, "wrong step"),
        ({"place": {"n_videos": -1}}, "wrong n_videos"),
        ({"place": {"loss_sum": None}}, "wrong loss_sum.*a number"),
    ],
)
def test_a_checkpoint_of_an_unknown_format_is_refused_not_passed_over(tmp_path, changes, told):
    save(tmp_path, 3)
    path = save(tmp_path, 4) / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=told):
        newest_whole(tmp_path)


def test_no_tensors_are_made_to_find_the_newest(tmp_path, monkeypatch):
    newest = save(tmp_path, 4)
    monkeypatch.delattr("yt8m_spark.deep.checkpoints.load_file")
    assert newest_whole(tmp_path) == newest


def test_models_of_later_passes_go(tmp_path):
    for name in ("00001", "00002", "00003", ".00003.old/kept"):
        (tmp_path / name).mkdir(parents=True)
    remove_models_after(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00001", "00002"]
    remove_models_after(tmp_path / "nothing", 0)


def test_a_checkpoint_of_another_training_is_refused_by_what_differs(tmp_path):
    path = save(tmp_path, 4)
    with pytest.raises(InputError, match=r"another training: entities differs in .*00000004"):
        load_checkpoint(path, IDENTITY | {"entities": "xyz"})


def test_a_checkpoint_is_safetensors_and_json_alone(tmp_path):
    path = save(tmp_path, 4)
    names = {"weights.safetensors", "optimizer.safetensors", "average.safetensors", "state.json"}
    assert {file.name for file in path.iterdir()} == names
    assert json.loads((path / "state.json").read_text())["belongs_to"] == IDENTITY
