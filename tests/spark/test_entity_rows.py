"""Rows of models. What reads them is tested in tests/test_scorer.py."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.block_state import initial_state
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.training import BlockTrainer
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.errors import InputError
from yt8m_spark.spark.entity_rows import TrainedBlock, write_block

D = 3


def make_block(entities, loss="moe", seed=0):
    """A block as a mapper leaves it, of random weights; the last entity has converged."""
    rng = np.random.default_rng(seed)
    ids, family, options = np.array(entities), loss_family(loss), TrainingOptions()
    state = initial_state(family, ids, D, options)
    state.weights[:] = rng.random(state.weights.shape)
    state.accumulator[:] = rng.random(state.accumulator.shape)
    state.active[-1] = False
    trainer = BlockTrainer(state, family, options, n_videos=10)
    trainer.losses = list(rng.random((3, len(ids))))
    trainer.losses[-1][-1] = np.nan
    return TrainedBlock(ids, np.arange(1, len(ids) + 1), trainer)


def test_a_row_holds_weights_bias_and_state_of_one_entity(tmp_path):
    block = make_block([4, 9])
    state = block.trainer.state
    write_block(tmp_path / "x.parquet", block, "moe")
    rows = pq.read_table(tmp_path / "x.parquet").to_pylist()
    for i, row in enumerate(rows):
        weights = np.frombuffer(row["weights"], "<f4").reshape(4, D)
        accumulator = np.frombuffer(row["accumulator"], "<f4").reshape(4, D + 1)
        assert_array_equal(weights, state.weights[:-1, :, i].T)
        assert_array_equal(np.float32(row["bias"]), state.weights[-1, :, i])
        assert_array_equal(accumulator, state.accumulator[:, :, i].T)
        assert (row["entity"], row["n_positives"], row["loss"]) == ([4, 9][i], i + 1, "moe")


def test_a_row_tells_the_losses_of_the_passes_it_was_trained_in(tmp_path):
    block = make_block([4, 9])
    write_block(tmp_path / "x.parquet", block, "moe")
    first, second = pq.read_table(tmp_path / "x.parquet").to_pylist()
    losses = np.array(block.trainer.losses)
    assert_allclose(first["loss_history"], losses[:, 0], rtol=1e-6)
    assert_allclose(second["loss_history"], losses[:2, 1], rtol=1e-6)
    assert (first["status"], second["status"]) == ("trained", "converged")
    assert_allclose(block.last_losses(), [losses[2, 0], losses[1, 1]])


def test_an_entity_without_positives_is_flagged(tmp_path):
    block = make_block([4, 9])
    block.n_positives[0] = 0
    write_block(tmp_path / "x.parquet", block, "moe")
    assert pq.read_table(tmp_path / "x.parquet")["status"].to_pylist()[0] == "no positives"


def test_writing_leaves_no_temporary_file(tmp_path):
    write_block(tmp_path / "x.parquet", make_block([1], "logistic"), "logistic")
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_weights_that_are_not_finite_are_refused_and_nothing_is_written(tmp_path):
    block = make_block([4, 9])
    block.trainer.state.weights[1, 0, 1] = np.inf
    with pytest.raises(InputError, match="training diverged in entity 9"):
        write_block(tmp_path / "x.parquet", block, "moe")
    assert list(tmp_path.iterdir()) == []
