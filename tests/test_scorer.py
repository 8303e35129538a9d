"""Models read from their folders. Their scores: tests/core/test_scoring.py, tests/spark."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_files import probabilities, random_model, write_model
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.errors import InputError
from yt8m_spark.scorer import check_model, load_scorer, model_frames, read_description

D = 3
FRAMES = {"features": {"audio": 1, "rgb": 2}, "normalize": True, "n_frames": 20, "seed": 0}


def make_model(folder, entities=(4, 9), n_rows=1, seed=0, **changes):
    weights, bias = random_model(n_rows, len(entities), D, seed)
    return write_model(folder, weights, bias, list(entities), **changes)


def test_weights_come_back_in_the_order_of_entities_not_of_rows_and_files(tmp_path):
    entities = [30, 7, 8, 2, 11]
    weights, bias = random_model(4, 5, D)
    scorer = load_scorer(write_model(tmp_path, weights, bias, entities, loss="moe", n_files=2))
    order = np.argsort(entities)
    assert scorer.entities.tolist() == sorted(entities)
    assert scorer.entities.dtype == np.int64
    assert_array_equal(scorer.weights, weights[:, order])
    assert_array_equal(scorer.bias, bias[:, order])
    assert scorer.family.n_rows == 4
    assert scorer.n_features == D


def test_a_model_is_read_and_scored_without_spark(tmp_path):
    weights, bias = random_model(4, 6, D)
    folder = write_model(tmp_path, weights, bias, list(range(6)), loss="moe")
    code = (
        "import json, sys, numpy as np\n"
        "from yt8m_spark.scorer import load_scorer\n"
        "from yt8m_spark.core.scoring import score_videos\n"
        f"scorer = load_scorer({folder!r})\n"
        "scores = score_videos(scorer, np.ones((1, 3), np.float32))\n"
        "print(json.dumps([scores.tolist(), 'pyspark' in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    scores, with_spark = json.loads(done.stdout)
    assert not with_spark
    assert_allclose(scores, probabilities(np.ones((1, D)), weights, bias, "moe"), rtol=1e-5)


def test_reading_takes_the_model_and_one_file_not_two_models(tmp_path):
    other = make_model(tmp_path / "other")  # what the first use loads is not the model's
    weights, bias = random_model(2, 512, 512)  # 2 MiB
    folder = write_model(
        tmp_path / "model", weights, bias, list(range(512)), loss="moe", n_experts=1, n_files=16
    )
    code = (
        "import sys, tracemalloc, pyarrow as pa\n"
        "from yt8m_spark.scorer import load_scorer\n"
        f"load_scorer({other!r})\n"
        "tracemalloc.start()\n"
        f"scorer = load_scorer({folder!r})\n"
        "print(tracemalloc.get_traced_memory()[1], pa.default_memory_pool().max_memory())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    of_python, of_arrow = map(int, done.stdout.split())
    assert of_python < 1.3 * weights.nbytes  # a row as a Python object would be another 1.0
    assert of_arrow < 0.4 * weights.nbytes  # a sixteenth, read and decoded


def test_a_model_written_over_another_is_read_anew(tmp_path):
    before = load_scorer(make_model(tmp_path))
    after = load_scorer(make_model(tmp_path, seed=1))
    assert (before.weights != after.weights).all()


def test_a_model_is_read_once(tmp_path):
    folder = make_model(tmp_path)
    assert load_scorer(folder) is load_scorer(f"{folder}/")


def test_what_all_share_cannot_be_written_to(tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        load_scorer(make_model(tmp_path)).weights[:] = 0


def test_rows_of_a_slice_of_a_larger_table_are_read(tmp_path):
    """Several row groups, and more columns than a reader needs."""
    weights, bias = random_model(1, 6, D)
    folder = write_model(tmp_path, weights, bias, list(range(6)))
    path = tmp_path / "entities" / "block-00000.parquet"
    table = pq.read_table(path).append_column("status", pa.array(["trained"] * 6))
    pq.write_table(table, path, row_group_size=2)
    assert_array_equal(load_scorer(folder).weights, weights)


def test_checking_a_model_reads_no_weights(tmp_path):
    folder = make_model(tmp_path)
    path = tmp_path / "entities" / "block-00000.parquet"
    pq.write_table(pa.table({"entity": pa.array([9, 4], pa.int32())}), path)
    check_model(folder)
    with pytest.raises(InputError, match=r"cannot read the model's entities .*no column 'weights'"):
        load_scorer(folder)


@pytest.mark.parametrize("read", [load_scorer, check_model, model_frames, read_description])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"no such file in .*model\.json"),
        ("{", "not a JSON file"),
        ("[]", "not a JSON object"),
        ('{"loss": "moe"}', "not a model's description .*'n_entities', 'n_experts', 'n_features'"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(tmp_path, read, text, message):
    if text is not None:
        (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read(str(tmp_path))


@pytest.mark.parametrize("read", [load_scorer, check_model])
@pytest.mark.parametrize("count", ["x", None, 0, 2.5, True, 2**31])
@pytest.mark.parametrize("name", ["n_entities", "n_experts", "n_features"])
def test_a_count_that_is_none_is_refused(tmp_path, read, name, count):
    folder = make_model(tmp_path, **{name: count})
    with pytest.raises(InputError, match=rf"wrong {name} in .*model\.json.*found {count!r}"):
        read(folder)


@pytest.mark.parametrize("read", [load_scorer, check_model])
def test_an_unknown_loss_is_refused(tmp_path, read):
    folder = make_model(tmp_path, loss="quantile")
    with pytest.raises(InputError, match=r"loss must be one of .*'quantile' in model\.json"):
        read(folder)


@pytest.mark.parametrize("changes", [{"n_features": D + 1}, {"loss": "moe"}, {"n_features": D - 1}])
def test_weights_that_do_not_fit_the_description_are_refused(tmp_path, changes):
    folder = make_model(tmp_path, (5,), **changes)
    with pytest.raises(InputError, match=r"weights do not fit model\.json in .*entity 5, expected"):
        load_scorer(folder)


def test_biases_that_do_not_fit_are_refused(tmp_path):
    folder = make_model(tmp_path)
    path = tmp_path / "entities" / "block-00000.parquet"
    table = pq.read_table(path)
    bias = pa.array([[1.0], None], pa.list_(pa.float32()))
    pq.write_table(table.set_column(table.column_names.index("bias"), "bias", bias), path)
    with pytest.raises(InputError, match=r"entity 9, expected 1 x 3 .*found 0 biases"):
        load_scorer(folder)


@pytest.mark.parametrize("read", [load_scorer, check_model])
def test_a_model_that_lost_a_block_is_refused(tmp_path, read):
    folder = make_model(tmp_path, (1, 2, 3), n_files=2)
    (tmp_path / "entities" / "block-00001.parquet").unlink()
    with pytest.raises(InputError, match=r"not those of model\.json in .*expected 3.*found 2"):
        read(folder)


@pytest.mark.parametrize("read", [load_scorer, check_model])
def test_an_entity_that_stands_twice_is_refused(tmp_path, read):
    folder = make_model(tmp_path, (1, 2, 2, 3))
    with pytest.raises(InputError, match="expected 4, each once, found 4, 3 of them different"):
        read(folder)


@pytest.mark.parametrize("read", [load_scorer, check_model])
def test_a_model_without_entities_is_refused(tmp_path, read):
    folder = make_model(tmp_path)
    shutil.rmtree(tmp_path / "entities")
    with pytest.raises(InputError, match=r"cannot read the model's entities in .*entities"):
        read(folder)
    (tmp_path / "entities").mkdir()
    with pytest.raises(InputError, match=r"cannot read the model's entities in .*entities"):
        read(folder)


@pytest.mark.parametrize("read", [load_scorer, check_model])
def test_a_damaged_block_is_refused(tmp_path, read):
    folder = make_model(tmp_path)
    with open(tmp_path / "entities" / "block-00000.parquet", "r+b") as file:
        file.truncate(200)
    with pytest.raises(InputError, match="cannot read the model's entities") as caught:
        read(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [load_scorer, check_model])
@pytest.mark.parametrize("columns", [{"x": [1]}, {"entity": ["a", "b"]}, {"entity": [4, None]}])
def test_a_block_of_another_table_is_refused(tmp_path, read, columns):
    folder = make_model(tmp_path)
    pq.write_table(pa.table(columns), tmp_path / "entities" / "block-00000.parquet")
    with pytest.raises(InputError, match="cannot read the model's entities"):
        read(folder)


def test_files_that_are_being_written_are_passed_over(tmp_path):
    folder = make_model(tmp_path)
    (tmp_path / "entities" / ".block-00001.parquet.tmp").write_text("half")
    (tmp_path / "entities" / "._block-00001.parquet").write_text("half")
    assert load_scorer(folder).entities.tolist() == [4, 9]


def test_a_model_tells_how_it_sees_frames(tmp_path):
    assert model_frames(make_model(tmp_path)) is None
    frames = model_frames(make_model(tmp_path, frames=FRAMES | {"order": ["rgb", "audio"]}))
    assert list(frames.features.items()) == [("rgb", 2), ("audio", 1)]
    assert frames.normalize


def test_frames_that_do_not_fit_the_model_are_refused(tmp_path):
    folder = make_model(tmp_path, frames=FRAMES | {"features": {"rgb": 5}})
    with pytest.raises(InputError, match=r"not of the model's width .*expected 3, found 5"):
        model_frames(folder)
    with pytest.raises(InputError, match="not a description of frames"):
        model_frames(make_model(tmp_path, frames={"features": {}}))
