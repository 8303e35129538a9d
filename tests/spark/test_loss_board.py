"""The losses that a task puts up. That the mapper does: test_label_noise."""

import json

import numpy as np
import pytest

from yt8m_spark.spark.loss_board import write_losses

NAN = np.nan


def read(folder, number=3):
    return json.loads((folder / "losses" / f"{number:05d}.json").read_text())


def test_means_are_of_all_entities_that_are_trained_and_the_converged_keep_their_last(tmp_path):
    losses = [np.array([4.0, 2.0, NAN]), np.array([2.0, 1.0, NAN]), np.array([NAN, 0.5, NAN])]
    for n_passes, means in ((1, [3.0]), (2, [3.0, 1.5]), (3, [3.0, 1.5, 1.25])):
        write_losses(str(tmp_path), 3, losses[:n_passes])
        assert read(tmp_path) == {"n_entities": 2, "losses": means}
    assert [path.name for path in (tmp_path / "losses").iterdir()] == ["00003.json"]


@pytest.mark.parametrize("losses", [[], [np.array([NAN, NAN])], [np.empty(0)]])
def test_a_block_that_learns_nothing_puts_nothing_up(tmp_path, losses):
    write_losses(str(tmp_path), 3, losses)
    assert not (tmp_path / "losses").exists()


def test_a_folder_that_is_gone_stays_gone(tmp_path):
    write_losses(str(tmp_path / "work"), 3, [np.ones(2)])
    assert not (tmp_path / "work").exists()
