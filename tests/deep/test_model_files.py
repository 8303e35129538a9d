"""The folder of a network. Training it and scoring with it are tested elsewhere."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from deep_networks import batch_of, small_network
from safetensors.torch import load_file, save_file
from shard_files import flip

from yt8m_spark.core.frame_sampling import FrameOptions
from yt8m_spark.deep.model_files import load_network, save_network
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import entity_columns, model_frames, read_description

ENTITIES = np.array([2, 5, 6, 40])


@pytest.fixture
def saved(tmp_path):
    network, options = small_network("dbof")
    folder = tmp_path / "model"
    save_network(str(folder), network, options, ENTITIES, np.arange(4), {"epochs": 3})
    return folder, network


@pytest.mark.parametrize("name", ["dbof", "lstm", "mean"])
@pytest.mark.parametrize("classifier", ["logistic", "softmax", "moe"])
def test_what_is_loaded_scores_as_what_was_saved(tmp_path, name, classifier):
    network, options = small_network(name, classifier=classifier)
    save_network(str(tmp_path / "model"), network, options, ENTITIES, np.arange(4), {})
    state = torch.get_rng_state()
    loaded = load_network(str(tmp_path / "model"))
    assert torch.equal(torch.get_rng_state(), state)
    assert loaded.options == options
    assert loaded.entities.tolist() == ENTITIES.tolist()
    assert not loaded.network.training
    codes, n_frames, _ = batch_of([9, 3])
    expected = network.eval().probabilities(codes, n_frames)
    assert torch.equal(loaded.network.probabilities(codes, n_frames), expected)
    loaded.network.train()(*batch_of([9, 3])).sum().backward()
    assert all(parameter.grad is not None for parameter in loaded.network.parameters())


def test_the_folder_answers_as_that_of_a_per_entity_model_of_frames(saved):
    folder, _ = saved
    described = read_description(str(folder))
    assert described["network"] == "dbof"
    assert described["epochs"] == 3
    assert (described["loss"], described["n_entities"], described["n_features"]) == (
        "logistic",
        4,
        8,
    )
    assert model_frames(str(folder)) == FrameOptions({"rgb": 5, "audio": 3}, n_frames=0)
    columns = entity_columns(str(folder), ["entity", "n_positives"])
    assert columns.to_pydict() == {"entity": ENTITIES.tolist(), "n_positives": [0, 1, 2, 3]}
    assert columns.schema.types == [pa.int32(), pa.int64()]


def test_weights_are_float32_and_nothing_else_is_written(saved):
    folder, network = saved
    weights = load_file(folder / "weights.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert weights.keys() == network.state_dict().keys()
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert files == ["entities/part-00000.parquet", "model.json", "weights.safetensors"]


def test_a_model_that_cannot_be_written_leaves_the_old_one(saved):
    folder, network = saved
    before = (folder / "weights.safetensors").read_bytes()
    _, options = small_network("dbof")
    with pytest.raises(TypeError):
        save_network(str(folder), network, options, ENTITIES, np.arange(4), {"x": object()})
    assert (folder / "weights.safetensors").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_frames_of_other_lists_are_refused(tmp_path):
    network, options = small_network("dbof")
    frames = FrameOptions({"audio": 3, "rgb": 5}).describe()  # the lists, the other way round
    with pytest.raises(InputError, match="frames are not the network's"):
        save_network(str(tmp_path / "m"), network, options, ENTITIES, ENTITIES, {"frames": frames})


@pytest.mark.parametrize("entities", [[5, 2, 6, 40], [2, 2, 6, 40], [2, 5, 6]])
def test_entities_that_are_not_ascending_or_not_as_many_are_refused(tmp_path, entities):
    network, options = small_network("dbof")
    entities = np.array(entities)
    with pytest.raises(InputError, match="expected 4, ascending"):
        save_network(str(tmp_path / "m"), network, options, entities, entities, {})
    assert not (tmp_path / "m").exists()


def damage(folder, what):
    path = folder / "weights.safetensors"
    weights = load_file(path)
    if what == "missing file":
        path.unlink()
    elif what == "cut short":
        path.write_bytes(path.read_bytes()[:-40])
    elif what == "other bytes":
        path.write_bytes(b"\x80\x04pickled" * 9)
    elif what == "empty":
        path.write_bytes(b"")
    else:
        changes = {
            "missing weight": lambda w: w.pop("hidden_norm.bias"),
            "foreign weight": lambda w: w.update(cells=torch.zeros(2)),
            "other shape": lambda w: w.update({"hidden_norm.bias": torch.zeros(8)}),
            "other type": lambda w: w.update({"hidden_norm.bias": torch.zeros(7).half()}),
            "not a number": lambda w: w["hidden_norm.bias"][:1].fill_(torch.nan),
        }
        changes[what](weights)
        save_file(weights, path)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing file", "no such file"),
        ("cut short", "weights cannot be read"),
        ("other bytes", "weights cannot be read"),
        ("empty", "weights cannot be read"),
        ("missing weight", r"lack one of the network .*found hidden_norm\.bias"),
        ("foreign weight", "hold one of another network .*found cells"),
        ("other shape", r"hidden_norm\.bias, expected \(7,\) torch.float32, found \(8,\)"),
        ("other type", r"found \(7,\) torch.float16"),
        ("not a number", r"not finite in .*hidden_norm\.bias"),
    ],
)
def test_foreign_and_damaged_weights_are_refused(saved, what, message):
    damage(saved[0], what)
    with pytest.raises(InputError, match=message) as caught:
        load_network(str(saved[0]))
    assert "weights.safetensors" in str(caught.value)


def test_the_description_of_another_model_is_refused(saved):
    path = saved[0] / "model.json"
    path.write_text(json.dumps({"loss": "logistic"}))
    with pytest.raises(InputError, match="not a network's description"):
        load_network(str(saved[0]))


def test_entities_of_another_model_are_refused(saved):
    path = saved[0] / "entities" / "part-00000.parquet"
    pq.write_table(pa.table({"entity": pa.array([1, 2], pa.int32())}), path)
    with pytest.raises(InputError, match="expected 4, ascending, found 2"):
        load_network(str(saved[0]))
    pq.write_table(pa.table({"entity": ["a"]}), path)
    with pytest.raises(InputError, match="no numbers"):
        load_network(str(saved[0]))
    path.unlink()
    with pytest.raises(InputError, match="no entities"):
        load_network(str(saved[0]))


def test_one_changed_byte_of_the_weights_is_noticed_where_the_model_tells_their_digest(saved):
    folder, _ = saved
    path = folder / "weights.safetensors"
    flip(path, path.stat().st_size - 4)  # the lowest bits of a weight: it stays a number
    with pytest.raises(InputError, match=r"weights are damaged in .*weights\.safetensors"):
        load_network(str(folder))
    described = json.loads((folder / "model.json").read_text())
    del described["weights_digest"]
    (folder / "model.json").write_text(json.dumps(described))
    load_network(str(folder))
