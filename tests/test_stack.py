"""Stacked models in their folders, without Spark. Their scores: tests/core/test_stacking.py."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from stack_files import ENTITIES, C, D, write_stack

from yt8m_spark.calibration import load_calibration, model_digest, save_calibration
from yt8m_spark.core.calibration import Calibration, apply_calibration
from yt8m_spark.core.scored import best_of
from yt8m_spark.core.stacking import score_stack
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import (
    check_model,
    entity_columns,
    is_stack,
    load_scorer,
    model_files,
    read_description,
)
from yt8m_spark.stack import best_entities, load_stack, load_video_model
from yt8m_spark.tagger import load_tagger


@pytest.fixture
def folder(tmp_path):
    """Five entities, three of them with a second stage."""
    return write_stack(tmp_path / "stack")


def make_features(n=7):
    return np.random.default_rng(5).normal(size=(n, D)).astype(np.float32)


def test_it_is_described_by_what_it_takes_and_gives(folder):
    described = read_description(folder)
    assert (described["n_features"], described["n_entities"]) == (D, len(ENTITIES))
    assert described["whitening"] == "a" * 64  # of the features, as the first stage has it
    assert described["stack"]["weight"] == 0.25
    assert is_stack(folder)
    assert not is_stack(f"{folder}/first")


def test_parts_come_back_as_they_were_written(folder):
    stack = load_stack(folder)
    assert stack.entities.tolist() == ENTITIES
    assert stack.second.entities.tolist() == [3, 8, 22]
    assert stack.second.n_features == C
    assert_array_equal(stack.first.weights, load_scorer(f"{folder}/first").weights)
    assert load_video_model(folder) is stack


def test_only_the_first_request_reads_the_parts(folder, monkeypatch):
    stack = load_stack(folder)
    for name in ("check_model", "read_scorer", "load_whitening"):
        monkeypatch.delattr(f"yt8m_spark.stack.{name}")
    assert load_stack(folder) is stack


def test_entities_are_those_of_the_first_stage(folder):
    assert entity_columns(folder, ["entity"]).column(0).to_pylist() == ENTITIES


def test_the_best_are_those_of_all_scores(folder):
    stack, features = load_stack(folder), make_features(1030)  # more than are held at once
    columns, expected = best_of(score_stack(stack, features), 3)
    entities, scores = best_entities(stack, features, 3)
    assert_array_equal(entities, np.array(ENTITIES)[columns])
    assert_array_equal(scores, expected)
    assert best_entities(stack, features[:0], 3)[0].shape == (0, 3)


def test_a_tagger_scores_it_without_spark(folder):
    code = (
        "import json, sys, numpy as np\n"
        "from yt8m_spark.tagger import load_tagger\n"
        f"tags = load_tagger({folder!r}).predict(np.ones((2, {D})), {{'top_k': 2}})\n"
        "print(json.dumps([tags.to_dict('list'), 'pyspark' in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    tags, with_spark = json.loads(done.stdout)
    assert not with_spark
    entities, scores = best_entities(load_stack(folder), np.ones((2, D), np.float32), 2)
    assert tags["entities"] == entities.tolist()
    assert_allclose(tags["scores"], scores, rtol=1e-6)


def test_a_calibration_is_of_all_its_parts(folder, tmp_path):
    slopes = np.linspace(0.5, 2, 5)
    maps = Calibration("platt", np.array(ENTITIES), np.arange(5), np.arange(6), slopes, np.zeros(5))
    where = str(tmp_path / "calibration")
    save_calibration(where, maps, folder, 10)
    found = load_tagger(folder, calibration=where).predict(make_features(), {"top_k": 5})
    scores = apply_calibration(maps, score_stack(load_stack(folder), make_features()))
    assert_allclose(np.stack(found["scores"]), -np.sort(-scores, axis=1), rtol=1e-5)
    shutil.copytree(tmp_path / "stack/second", tmp_path / "other/second")
    for part in ("first", "map"):
        shutil.copytree(tmp_path / "stack" / part, tmp_path / "other" / part)
    described = json.loads((tmp_path / "stack/model.json").read_text())
    described["stack"]["weight"] = 0.5
    (tmp_path / "other/model.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="calibration is of another model"):
        load_calibration(where, str(tmp_path / "other"))


def test_a_digest_sees_every_file(folder, tmp_path):
    names = {str(path.relative_to(folder)) for path in model_files(folder)}
    there = {str(p.relative_to(folder)) for p in (tmp_path / "stack").rglob("*") if p.is_file()}
    assert names == there
    assert model_digest(folder) == model_digest(write_stack(tmp_path / "same"))
    assert model_digest(folder) != model_digest(write_stack(tmp_path / "other", weight=0.5))


def test_one_written_over_another_is_read_anew(folder, tmp_path):
    before = score_stack(load_stack(folder), make_features())
    shutil.rmtree(folder)
    after = score_stack(load_stack(write_stack(tmp_path / "stack", seed=7)), make_features())
    assert (before != after).all()


def test_it_is_no_model_of_one_stage(folder):
    with pytest.raises(InputError, match="model is a stack of two stages"):
        load_scorer(folder)
    with pytest.raises(InputError, match="model has one stage"):
        load_stack(f"{folder}/first")


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def remove_a_key(stack):
    described = json.loads((stack / "model.json").read_text())
    described["stack"].pop("weight")
    (stack / "model.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda s: shutil.rmtree(s / "first"), ("no such file", "first/model.json")),
        (lambda s: shutil.rmtree(s / "second"), ("no such file", "second/model.json")),
        (lambda s: (s / "map/whitening.npz").unlink(), ("no such file", "map/whitening.npz")),
        (lambda s: (s / "map/whitening.npz").write_bytes(b"x"), ("not an .npz file", "map")),
        (lambda s: (s / "map/whitening.json").write_text("{"), ("not a JSON file", "map")),
        (
            lambda s: (s / "first/entities/block-00000.parquet").write_bytes(b"x"),
            ("cannot read the model's entities", "first"),
        ),
        (
            lambda s: shutil.rmtree(s / "second/entities"),
            ("cannot read the model's entities", "second"),
        ),
        (lambda s: rewrite(s / "model.json", n_features=9), ("n_features does not fit", "first")),
        (lambda s: rewrite(s / "model.json", n_entities=4), ("n_entities does not fit", "first")),
        (
            lambda s: rewrite(s / "second/model.json", n_features=9),
            ("n_features does not fit", "second", "expected 3, found 9"),
        ),
        (
            lambda s: rewrite(s / "first/model.json", stack={}),
            ("model is a stack of two stages",),
        ),
        (remove_a_key, ("not a description of a stack", "model.json")),
        (
            lambda s: rewrite(s / "model.json", stack={"weight": 7}),
            ("weight must be 0 to 1, got 7",),
        ),
    ],
)
def test_a_damaged_part_is_one_line(folder, tmp_path, damage, words):
    damage(tmp_path / "stack")
    with pytest.raises(InputError) as told:
        load_stack(folder)
    assert "\n" not in str(told.value)
    assert all(word in str(told.value) for word in words), told.value


def test_a_whole_one_is_checked_without_a_word(folder):
    check_model(folder)
