"""Networks as scorers of ragged frames. Their formulas: tests/deep. On Spark: tests/spark."""

import copy
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from model_files import random_model, write_model
from network_files import (
    ENTITIES,
    LENGTHS,
    NETWORKS,
    frame_codes,
    lists_of,
    one_by_one,
    write_network,
)
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import load_file, save_file

from yt8m_spark.errors import InputError
from yt8m_spark.network_scorer import (
    is_network,
    load_scored_network,
    network_activations,
    score_network,
)
from yt8m_spark.scorer import (
    check_model,
    load_scorer,
    model_family,
    model_files,
    model_frames,
    read_description,
)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("classifier", ["logistic", "softmax", "moe"])
def test_scores_are_those_of_each_video_alone_and_0_without_frames(tmp_path, name, classifier):
    folder, network = write_network(tmp_path / "model", name, classifier=classifier)
    expected = one_by_one(network, frame_codes())
    scored = load_scored_network(folder)
    for at_once in (1, 80, scored.frames_at_once):
        found = score_network(scored._replace(frames_at_once=at_once), lists_of(frame_codes()))
        assert_allclose(found, np.stack(list(expected.values())), rtol=1e-4, atol=1e-6)
    for place, lengths in enumerate(LENGTHS.values()):
        assert (found[place] > 0).any() == (min(lengths) > 0)
    assert scored.entities.tolist() == ENTITIES


def test_scores_of_the_mean_frame_by_numpy(tmp_path):
    folder, network = write_network(tmp_path / "model", "mean")
    weights = network.output.linear.weight.detach().numpy().astype(np.float64)
    bias = network.output.linear.bias.detach().numpy().astype(np.float64)
    found = score_network(load_scored_network(folder), lists_of(frame_codes()))
    for row, parts in zip(found, frame_codes().values(), strict=True):
        n_frames = min(map(len, parts))
        if n_frames:
            x = np.concatenate([part[:n_frames] for part in parts], axis=1).astype(np.float64)
            x = x * 4 / 255 + (4 / 512 - 2)
            mean = (x / np.linalg.norm(x, axis=1, keepdims=True)).mean(axis=0)
            assert_allclose(row, 1 / (1 + np.exp(-(weights @ mean + bias))), rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_scored_beside_a_video_changes_nothing(tmp_path, name):
    folder, _ = write_network(tmp_path / "model", name)
    scored, codes = load_scored_network(folder), frame_codes()
    among = score_network(scored, lists_of(codes))
    turned = score_network(scored, lists_of(dict(reversed(codes.items()))))
    assert_allclose(turned[::-1], among, rtol=1e-5, atol=1e-7)
    again = score_network(scored, lists_of(codes))
    assert_array_equal(again, among)


@pytest.mark.parametrize(("name", "width"), [("dbof", 8), ("lstm", 12), ("mean", 5)])
def test_activations_are_those_of_each_video_alone(tmp_path, name, width):
    folder, network = write_network(tmp_path / "model", name)
    expected = one_by_one(network, frame_codes(), "activations")
    found = network_activations(load_scored_network(folder), lists_of(frame_codes()))
    assert found.shape == (len(LENGTHS), width)
    assert_allclose(found, np.stack(list(expected.values())), rtol=1e-4, atol=1e-6)
    assert not found[0].any()


def test_no_videos_have_no_scores(tmp_path):
    folder, _ = write_network(tmp_path / "model")
    empty = lists_of({"v": frame_codes()["v0"]})
    scored = load_scored_network(folder)
    assert not score_network(scored, empty).any()
    nothing = empty._replace(offsets=[offsets[:1] for offsets in empty.offsets])
    assert score_network(scored, nothing).shape == (0, len(ENTITIES))


def test_a_network_is_read_once_and_anew_when_it_is_written_over(tmp_path):
    folder, _ = write_network(tmp_path / "model")
    first = load_scored_network(folder)
    assert load_scored_network(f"{folder}/") is first
    write_network(tmp_path / "model", seed=1)
    lists = lists_of(frame_codes())
    assert (score_network(load_scored_network(folder), lists) != score_network(first, lists)).any()


def test_the_two_kinds_of_model_are_told_apart(tmp_path):
    network, _ = write_network(tmp_path / "network")
    classifiers = write_model(tmp_path / "model", *random_model(1, 2, 5), [0, 1])
    assert (is_network(network), is_network(classifiers)) == (True, False)
    check_model(network)
    names = [path.name for path in model_files(network)]
    assert names == ["model.json", "part-00000.parquet", "weights.safetensors"]
    assert len(model_files(classifiers)) == 2
    with pytest.raises(InputError, match=r"model is a network.* train_entities, found dbof"):
        load_scorer(network)
    with pytest.raises(InputError, match="model is a network"):
        model_family(read_description(network))
    with pytest.raises(InputError, match=r"model is no network in .*train_deep"):
        load_scored_network(classifiers)


def test_scores_that_are_no_numbers_are_told_of(tmp_path):
    folder, _ = write_network(tmp_path / "model")
    scored = load_scored_network(folder)
    scored = scored._replace(network=copy.deepcopy(scored.network))
    with torch.no_grad():
        scored.network.output.linear.bias[3] = torch.nan
    with pytest.raises(InputError, match="score is not a number"):
        score_network(scored, lists_of(frame_codes()))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file in .*weights"),
        (lambda path: path.write_bytes(path.read_bytes()[:-4]), "cut short or too long"),
        (lambda path: path.write_bytes(b"12345678901234"), "not a safetensors file"),
        (lambda path: path.write_bytes(b""), "not a safetensors file"),
        (lambda path: path.write_bytes(b"\2" + bytes(7) + b"[]"), "not a safetensors file"),
    ],
)
def test_damaged_weights_are_told_of_before_any_task_runs(tmp_path, damage, message):
    folder, _ = write_network(tmp_path / "model")
    damage(tmp_path / "model" / "weights.safetensors")
    for refuses in (check_model, load_scored_network):
        with pytest.raises(InputError, match=message):
            refuses(folder)


def test_weights_of_another_network_are_told_of(tmp_path):
    folder, _ = write_network(tmp_path / "model")
    path = tmp_path / "model" / "weights.safetensors"
    weights = load_file(path)
    weights["output.linear.bias"] = weights["output.linear.bias"][:-1].clone()
    save_file(weights, path)
    with pytest.raises(InputError, match=r"weights do not fit model\.json .*output\.linear\.bias"):
        load_scored_network(folder)


def test_frames_that_are_not_the_networks_are_told_of(tmp_path):
    folder, _ = write_network(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    described = json.loads(path.read_text())
    described["frames"]["order"] = ["audio", "rgb"]
    path.write_text(json.dumps(described))
    with pytest.raises(InputError, match="frames are not those of the network"):
        load_scored_network(folder)
    del described["frames"]
    path.write_text(json.dumps(described))
    with pytest.raises(InputError, match=r"not a description of frames in .*model\.json"):
        model_frames(folder)


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_torch_is_loaded_with_a_network_and_not_before(tmp_path):
    folder, _ = write_network(tmp_path / "model")
    code = f"""
import sys
import yt8m_spark.scorer, yt8m_spark.network_scorer as scorer, yt8m_spark.network_tagger
from yt8m_spark.scorer import check_model
check_model({folder!r})
assert "torch" not in sys.modules
scorer.load_scored_network({folder!r})
assert not {{"pyspark", "mlflow"}} & set(sys.modules)
import torch
assert torch.get_num_threads() == 1
"""
    finished = run_python(code)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("missing", ["torch", "safetensors"])
def test_without_torch_the_line_says_what_to_install(tmp_path, missing):
    folder, _ = write_network(tmp_path / "model")
    code = f"""
import sys
sys.modules[{missing!r}] = None
from yt8m_spark.network_scorer import load_scored_network
load_scored_network({folder!r})
"""
    error = run_python(code).stderr.splitlines()[-1]
    assert f"{missing} is not installed, expected pip install 'yt8m_spark[deep]'" in error
