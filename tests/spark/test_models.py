"""Models as folders. Training and scoring with them are tested in their own files."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.training import BlockState
from yt8m_spark.errors import InputError
from yt8m_spark.spark.models import TrainedBlock, load_scorer, read_description, write_block

D = 3


def make_block(entities, n_rows=1, seed=0):
    rng = np.random.default_rng([seed, *entities])
    shape = (n_rows, len(entities), D + 1)
    state = BlockState(*rng.random((2, *shape)).astype(np.float32))
    counts = np.arange(len(entities), dtype=np.int64)
    return TrainedBlock(
        np.array(entities, dtype=np.int64), counts, state, rng.random((2, len(entities)))
    )


def write_model(folder, *blocks, loss="logistic", n_experts=2, **changes):
    for i, block in enumerate(blocks):
        write_block(folder / "entities" / f"block-{i:05d}.parquet", block, loss)
    described = {
        "loss": loss,
        "n_experts": n_experts,
        "n_features": D,
        "n_entities": sum(len(block.entities) for block in blocks),
    }
    (folder / "model.json").write_text(json.dumps(described | changes))
    return str(folder)


def test_a_row_holds_weights_bias_and_state_of_one_entity(tmp_path):
    block = make_block([4, 9], n_rows=2)
    write_block(tmp_path / "x.parquet", block, "moe")
    rows = pq.read_table(tmp_path / "x.parquet").to_pylist()
    for i, row in enumerate(rows):
        weights = np.frombuffer(row["weights"], "<f4").reshape(2, D)
        accumulator = np.frombuffer(row["accumulator"], "<f4").reshape(2, D + 1)
        assert_array_equal(weights, block.state.weights[:, i, :D])
        assert_array_equal(np.float32(row["bias"]), block.state.weights[:, i, D])
        assert_array_equal(accumulator, block.state.accumulator[:, i])
        assert_allclose(row["loss_history"], block.losses[:, i], rtol=1e-6)
        assert (row["entity"], row["n_positives"], row["loss"]) == ([4, 9][i], i, "moe")


def test_writing_leaves_no_temporary_file(tmp_path):
    write_block(tmp_path / "x.parquet", make_block([1]), "logistic")
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_blocks_are_read_in_the_order_of_entities_not_of_files(tmp_path):
    late, early = make_block([7, 30], n_rows=4), make_block([2, 8], n_rows=4)
    scorer = load_scorer(write_model(tmp_path, late, early, loss="moe"))
    assert scorer.entities.tolist() == [2, 7, 8, 30]
    assert scorer.family.n_rows == 4
    assert_array_equal(scorer.weights[:, [0, 2]], early.state.weights)
    assert_array_equal(scorer.weights[:, [1, 3]], late.state.weights)


def test_how_entities_are_cut_into_blocks_makes_no_difference(tmp_path):
    both = make_block([1, 2])
    parts = [
        TrainedBlock(
            both.entities[i : i + 1],
            both.n_positives[i : i + 1],
            BlockState(*(a[:, i : i + 1] for a in both.state)),
            both.losses[:, i : i + 1],
        )
        for i in range(2)
    ]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = load_scorer(write_model(tmp_path / "one", both))
    two = load_scorer(write_model(tmp_path / "two", *parts))
    assert_array_equal(one.weights, two.weights)


def test_a_model_written_over_another_is_read_anew(tmp_path):
    before = load_scorer(write_model(tmp_path, make_block([1])))
    after = load_scorer(write_model(tmp_path, make_block([1], seed=1)))
    assert (before.weights != after.weights).all()


def test_a_model_is_read_once(tmp_path):
    folder = write_model(tmp_path, make_block([1]))
    assert load_scorer(folder) is load_scorer(folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such file in .*model\.json"):
        load_scorer(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[]", "not a JSON object"),
        ('{"loss": "moe"}', "not a model's description .*'n_entities', 'n_experts', 'n_features'"),
    ],
)
def test_a_description_of_something_else_is_refused(tmp_path, text, message):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_description(str(tmp_path))


def test_an_unknown_loss_is_refused(tmp_path):
    folder = write_model(tmp_path, make_block([1]), loss="quantile")
    with pytest.raises(InputError, match=r"loss must be one of .*'quantile' in model\.json"):
        load_scorer(folder)


@pytest.mark.parametrize("changes", [{"n_features": D + 1}, {"loss": "moe"}, {"n_features": D - 1}])
def test_weights_that_do_not_fit_the_description_are_refused(tmp_path, changes):
    folder = write_model(tmp_path, make_block([5]), **changes)
    with pytest.raises(InputError, match=r"weights do not fit model\.json in .*entity 5, expected"):
        load_scorer(folder)


def test_a_model_that_lost_a_block_is_refused(tmp_path):
    folder = write_model(tmp_path, make_block([1, 2]), make_block([3]))
    (tmp_path / "entities" / "block-00001.parquet").unlink()
    with pytest.raises(InputError, match=r"not those of model\.json in .*expected 3.*found 2"):
        load_scorer(folder)


def test_an_entity_that_stands_twice_is_refused(tmp_path):
    folder = write_model(tmp_path, make_block([1, 2]), make_block([2, 3]))
    with pytest.raises(InputError, match="expected 4, each once, found 4, 3 of them different"):
        load_scorer(folder)


def test_a_model_without_entities_is_refused(tmp_path):
    folder = write_model(tmp_path, make_block([1]))
    (tmp_path / "entities" / "block-00000.parquet").unlink()
    with pytest.raises(InputError, match=r"cannot read the model's entities in .*entities"):
        load_scorer(folder)
    (tmp_path / "entities").rmdir()
    with pytest.raises(InputError, match=r"cannot read the model's entities in .*entities"):
        load_scorer(folder)


def test_a_damaged_block_is_refused(tmp_path):
    folder = write_model(tmp_path, make_block([1]))
    with open(tmp_path / "entities" / "block-00000.parquet", "r+b") as file:
        file.truncate(200)
    with pytest.raises(InputError, match="cannot read the model's entities") as caught:
        load_scorer(folder)
    assert "\n" not in str(caught.value)


def test_a_block_of_another_table_is_refused(tmp_path):
    folder = write_model(tmp_path, make_block([1]))
    pq.write_table(pa.table({"x": [1]}), tmp_path / "entities" / "block-00000.parquet")
    with pytest.raises(InputError, match="cannot read the model's entities"):
        load_scorer(folder)
