"""Whole trainings of two gloo ranks on made-up batches. One process: test_fit."""

import shutil
import time

import pytest
from deep_trainings import lines, make_training, outcome, run_ranks, start_ranks, use_fixed_feed
from numpy.testing import assert_allclose
from safetensors.torch import load_file

from yt8m_spark.deep import fit


@pytest.fixture(autouse=True)
def fixed_feed(monkeypatch):
    use_fixed_feed(monkeypatch.setattr)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """Trainings of two ranks that nothing disturbed, by network."""
    made = {}

    def train(network):
        if network not in made:
            made[network] = tmp_path_factory.mktemp(f"two_{network}")
            status, printed = run_ranks(make_training(made[network], network=network), 2)
            assert status == [0, 0], printed
        return made[network]

    return train


@pytest.mark.parametrize("network", ["lstm", "dbof"])
def test_two_ranks_learn_what_one_process_learns_of_the_joined_batches(
    tmp_path, two_ranks, network
):
    fit.train(make_training(tmp_path, network=network))
    two = two_ranks(network)
    for one, other in zip(lines(tmp_path), lines(two), strict=True):
        name = "loss" if "loss" in one else "epoch_loss"
        assert_allclose(other[name], one[name], rtol=1e-5)
    expected = load_file(tmp_path / "epochs" / "00002" / "weights.safetensors")
    found = load_file(two / "epochs" / "00002" / "weights.safetensors")
    for name, value in expected.items():
        assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)


def test_a_killed_rank_takes_the_other_down_and_both_go_on_to_the_same_end(tmp_path, two_ranks):
    training = make_training(tmp_path / "two")
    first, second = start_ranks(training, 2, "--die-at", "6")
    assert second.wait(timeout=60) == -9
    died = time.monotonic()
    told = first.communicate(timeout=60)[1]
    assert time.monotonic() - died < 10
    assert first.returncode == 1
    assert "peer" in told
    shutil.copytree(tmp_path / "two", tmp_path / "one")

    status, printed = run_ranks(training, 2, "--resume")
    assert status == [0, 0], printed
    assert outcome(tmp_path / "two") == outcome(two_ranks("lstm"))

    # Another number of ranks: the same batches here, so the same end but for rounding.
    fit.train(make_training(tmp_path / "one"), resume=True)
    expected, found = (
        load_file(folder / "epochs" / "00002" / "weights.safetensors")
        for folder in (two_ranks("lstm"), tmp_path / "one")
    )
    for name, value in expected.items():
        assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)
