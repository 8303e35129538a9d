"""Whole trainings of one process on made-up batches. Several ranks: test_fit_ranks."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from deep_trainings import (
    BATCH,
    N_VIDEOS,
    FixedFeed,
    lines,
    make_training,
    outcome,
    use_fixed_feed,
)
from numpy.testing import assert_allclose
from safetensors.torch import load_file

from yt8m_spark.deep import fit
from yt8m_spark.deep.checkpoints import list_checkpoints
from yt8m_spark.deep.model_files import load_network
from yt8m_spark.deep.ranks import alone_in
from yt8m_spark.errors import InputError

N_STEPS = -(-N_VIDEOS // BATCH)  # of an epoch: 4, the last one of 5 videos


@pytest.fixture(autouse=True)
def fixed_feed(monkeypatch):
    use_fixed_feed(monkeypatch.setattr)


def stop_before(monkeypatch, global_step, training, *, resume=False):
    with monkeypatch.context() as patch:
        patch.setattr(FixedFeed, "stop_at", global_step)
        with pytest.raises(KeyboardInterrupt):
            fit.train(training, resume=resume)


def test_a_training_leaves_lines_models_and_the_newest_checkpoints(tmp_path):
    fit.train(make_training(tmp_path, keep_checkpoints=3))
    held = lines(tmp_path)
    steps = [line for line in held if "loss" in line]
    epochs = [line for line in held if "epoch_loss" in line]
    places = [(e, s, (e - 1) * N_STEPS + s) for e in (1, 2) for s in range(1, N_STEPS + 1)]
    assert [(x["epoch"], x["step"], x["global_step"]) for x in steps] == places
    assert {x["learning_rate"] for x in steps} == {0.1}
    assert all(x["examples_per_second"] > 0 and x["seconds"] > 0 for x in steps)
    sizes = [8, 8, 8, 5]
    for number, line in enumerate(epochs, 1):
        losses = [x["loss"] for x in steps if x["epoch"] == number]
        assert_allclose(line["epoch_loss"], np.average(losses, weights=sizes))
        assert (line["epoch"], line["n_videos"]) == (number, N_VIDEOS)
    assert epochs[1]["epoch_loss"] < epochs[0]["epoch_loss"]
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["00000006", "00000007", "00000008"]
    assert sorted(path.name for path in (tmp_path / "epochs").iterdir()) == ["00001", "00002"]


def test_a_model_is_the_newest_weights_and_tells_of_its_training(tmp_path):
    fit.train(make_training(tmp_path))
    loaded = load_network(str(tmp_path / "epochs" / "00002"))
    weights = load_file(list_checkpoints(tmp_path / "checkpoints")[0] / "weights.safetensors")
    assert all(torch.equal(loaded.network.state_dict()[name], weights[name]) for name in weights)
    assert loaded.entities.tolist() == [0, 3, 6, 9, 12]
    described = json.loads((tmp_path / "epochs" / "00002" / "model.json").read_text())
    assert (described["n_videos"], described["epochs"], described["global_step"]) == (
        N_VIDEOS,
        2,
        8,
    )
    assert described["training"]["learning_rate"] == 0.1
    assert described["frames"]["order"] == ["rgb", "audio"]


def test_a_model_has_the_averages_of_the_weights_and_the_training_goes_on_without(tmp_path):
    plain, averaged = tmp_path / "plain", tmp_path / "averaged"
    fit.train(make_training(plain))
    fit.train(make_training(averaged, ema=0.9))
    newest = list_checkpoints(averaged / "checkpoints")[0]
    averages = load_file(newest / "average.safetensors")
    model = load_file(averaged / "epochs" / "00002" / "weights.safetensors")
    assert model.keys() == averages.keys()
    assert all(torch.equal(model[name], averages[name]) for name in model)
    of_plain = list_checkpoints(plain / "checkpoints")[0] / "weights.safetensors"
    assert (newest / "weights.safetensors").read_bytes() == of_plain.read_bytes()


VARIANTS = {
    "adagrad": {},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.01, "warmup_steps": 6, "clip": 0.5},
    "ema": {"ema": 0.9, "micro_batch": 3},
    "dbof": {"network": "dbof"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_that_was_stopped_ends_as_an_undisturbed_one(tmp_path, monkeypatch, variant):
    def drop_out(network, arguments):
        (activations,) = arguments
        return (activations * (torch.rand_like(activations) < 0.5),)

    def with_dropout(options):
        network = build(options)
        network.output.register_forward_pre_hook(drop_out)
        return network

    build = fit.build_network
    monkeypatch.setattr(fit, "build_network", with_dropout)
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    fit.train(make_training(straight, **VARIANTS[variant]))
    training = make_training(stopped, **VARIANTS[variant])
    stop_before(monkeypatch, 1, training)
    stop_before(monkeypatch, 3, training, resume=True)
    stop_before(monkeypatch, 4, training, resume=True)  # between two epochs
    stop_before(monkeypatch, 7, training, resume=True)
    fit.train(training, resume=True)
    assert outcome(stopped) == outcome(straight)
    fit.train(training, resume=True)  # nothing is left to do
    assert outcome(stopped) == outcome(straight)


def test_a_training_goes_on_from_the_checkpoint_before_a_torn_one(tmp_path, monkeypatch):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    fit.train(make_training(straight))
    training = make_training(stopped)
    stop_before(monkeypatch, 6, training)
    newest = list_checkpoints(stopped / "checkpoints")[0]
    (newest / "optimizer.safetensors").write_bytes(b"torn")
    (newest.parent / ".00000007.1.tmp").mkdir()
    fit.train(training, resume=True)
    assert outcome(stopped) == outcome(straight)
    kept = sorted(path.name for path in newest.parent.iterdir())
    assert kept == [".torn-00000006", "00000006", "00000007", "00000008"]


def test_models_that_will_be_trained_again_go_at_once(tmp_path, monkeypatch):
    training = make_training(tmp_path)
    fit.train(training)
    for path in list_checkpoints(tmp_path / "checkpoints")[:1]:
        (path / "weights.safetensors").write_bytes(b"torn")
    stop_before(monkeypatch, 7, training, resume=True)
    assert [path.name for path in (tmp_path / "epochs").iterdir()] == ["00001"]


def test_a_second_training_in_a_folder_is_refused_while_the_first_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("yt8m_spark.deep.ranks._LOCK_SECONDS", 0.0)
    training = make_training(tmp_path)
    with (
        alone_in(tmp_path),
        pytest.raises(InputError, match=f"another training is running in {tmp_path}"),
    ):
        fit.train(training, resume=True)
    fit.train(training, resume=True)


def test_a_model_that_could_not_be_written_is_written_later(tmp_path, monkeypatch):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    fit.train(make_training(straight))
    training = make_training(stopped)

    def full(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fit, "save_network", full)
        with pytest.raises(OSError, match="no space"):
            fit.train(training)
    fit.train(training, resume=True)
    assert outcome(stopped) == outcome(straight)


def test_more_epochs_go_on_where_fewer_ended(tmp_path):
    straight, longer = tmp_path / "straight", tmp_path / "longer"
    fit.train(make_training(straight, epochs=3))
    fit.train(make_training(longer, epochs=1))
    fit.train(make_training(longer, epochs=3), resume=True)
    assert outcome(longer) == outcome(straight)


def spoil_call(monkeypatch, number, factor):
    """Have the losses of call ``number`` (from 1) of the network multiplied by ``factor``."""
    build = fit.build_network

    def spoiled(options):
        network, calls = build(options), []

        def spoil(_network, _arguments, losses):
            calls.append(None)
            return losses * factor if len(calls) == number else losses

        network.register_forward_hook(spoil)
        return network

    monkeypatch.setattr(fit, "build_network", spoiled)


@pytest.mark.parametrize("line_seconds", [0.0, 1e9])
def test_a_loss_that_is_no_number_stops_at_its_batch_and_nothing_later_is_kept(
    tmp_path, monkeypatch, line_seconds
):
    monkeypatch.setattr("yt8m_spark.deep.step_log.LINE_SECONDS", line_seconds)
    spoil_call(monkeypatch, 7, float("nan"))
    with pytest.raises(InputError) as stopped:
        fit.train(make_training(tmp_path, warmup_steps=14, learning_rate=0.2))
    told = str(stopped.value)
    # By hand: call 7 is batch 3 of epoch 2, where half of the warm-up is over.
    assert "the loss is nan in epoch 2, batch 3" in told
    assert "learning rate 0.1;" in told
    newest = list_checkpoints(tmp_path / "checkpoints")[0]
    assert newest.name == ("00000006" if line_seconds == 0.0 else "00000004")
    assert f"the last good checkpoint is {newest}" in told
    weights = load_file(newest / "weights.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert [line["global_step"] for line in lines(tmp_path)][-1] == 6
    assert not (tmp_path / "epochs" / "00002").exists()


def test_weights_that_are_no_numbers_are_not_kept_though_the_loss_was_good(tmp_path, monkeypatch):
    step = fit.Learner.step

    def ruin(learner, batch, global_step):
        loss = step(learner, batch, global_step)
        if global_step == 4:
            with torch.no_grad():
                next(iter(learner.network.parameters())).mul_(float("inf"))
        return loss

    monkeypatch.setattr(fit.Learner, "step", ruin)
    with pytest.raises(InputError, match=r"is no number in epoch 2, batch 1"):
        fit.train(make_training(tmp_path))
    assert list_checkpoints(tmp_path / "checkpoints")[0].name == "00000004"


def test_a_training_that_flies_apart_stops_before_its_statistics_are_no_numbers(tmp_path):
    # The weights stay finite at this rate, and so does the loss: the variances overflow.
    with pytest.raises(InputError, match="a weight or a statistic is no number"):
        fit.train(make_training(tmp_path, network="dbof", learning_rate=1e12))
    for path in list_checkpoints(tmp_path / "checkpoints"):
        held = load_file(path / "weights.safetensors")
        assert all(torch.isfinite(value).all() for value in held.values())


def test_a_first_loss_that_is_no_number_leaves_no_checkpoint(tmp_path, monkeypatch):
    spoil_call(monkeypatch, 1, float("inf"))
    with pytest.raises(InputError, match=r"loss is inf in epoch 1, batch 1.*no checkpoint"):
        fit.train(make_training(tmp_path))
    assert not list_checkpoints(tmp_path / "checkpoints")


def test_a_checkpoint_of_another_architecture_or_of_other_entities_is_refused(
    tmp_path, monkeypatch
):
    training = make_training(tmp_path)
    stop_before(monkeypatch, 2, training)
    larger = dataclasses.replace(training.network, n_cells=7)
    with pytest.raises(InputError, match=r"network n_cells differs in .*expected 6, found 7"):
        fit.train(dataclasses.replace(training, network=larger), resume=True)
    table = pa.table({"entity": pa.array([0, 3, 6, 9, 13], pa.int32()), "n_positives": [1] * 5})
    pq.write_table(table, training.entities)
    with pytest.raises(InputError, match="another training: entities differs"):
        fit.train(training, resume=True)


def test_a_stopped_training_is_not_begun_anew_unasked(tmp_path, monkeypatch):
    training = make_training(tmp_path)
    stop_before(monkeypatch, 2, training)
    with pytest.raises(InputError, match="a stopped training is there"):
        fit.train(training)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"entity": [1, 2, 3], "n_positives": [1, 1, 1]}, "expected 5, ascending, found 3"),
        ({"entity": [1, 2, 3, 5, 4], "n_positives": [1] * 5}, "expected 5, ascending"),
        ({"entity": [1, 2, 3, 4, 5]}, "'n_positives' is missing"),
    ],
)
def test_entities_that_are_not_the_networks_are_refused(tmp_path, columns, told):
    training = make_training(tmp_path)
    pq.write_table(pa.table(columns), training.entities)
    with pytest.raises(InputError, match=told):
        fit.train(training)


def test_with_the_output_alone_trainable_all_else_is_the_first_models(tmp_path):
    fit.train(make_training(tmp_path / "first", network="dbof"))
    model = tmp_path / "first" / "epochs" / "00002"
    fit.train(
        make_training(
            tmp_path / "second", network="dbof", initial_model=str(model), trainable="output"
        )
    )
    before = load_file(model / "weights.safetensors")
    after = load_file(tmp_path / "second" / "epochs" / "00002" / "weights.safetensors")
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if not name.startswith("output.")}
