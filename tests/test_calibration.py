"""The folder of a calibration. Fitting one is tested in tests/core and tests/spark."""

import json

import numpy as np
import pytest
from model_files import random_model, write_model
from numpy.testing import assert_array_equal

from yt8m_spark.calibration import load_calibration, model_digest, save_calibration
from yt8m_spark.core.calibration import Calibration
from yt8m_spark.errors import InputError


def make_calibration(method="platt"):
    lengths = [1, 1] if method == "platt" else [2, 3]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    x = np.linspace(0.1, 0.9, offsets[-1])
    return Calibration(method, np.array([2, 5, 7]), np.array([0, 1, 0]), offsets, x, x**2)


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model", *random_model(1, 3, 4), [2, 5, 7], n_files=2)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_calibration_is_read_as_it_was_written(tmp_path, model, method):
    written, folder = make_calibration(method), str(tmp_path / "calibration")
    save_calibration(folder, written, model, 10)
    read = load_calibration(folder, model)
    assert read.method == method
    for name in ("entities", "maps", "offsets", "x", "y"):
        assert_array_equal(getattr(read, name), getattr(written, name))
    described = json.loads((tmp_path / "calibration/calibration.json").read_text())
    assert described["n_entities"] == 3
    assert described["n_pooled"] == 2
    assert described["min_positives"] == 10


def test_one_written_over_another_is_read_anew(tmp_path, model):
    folder = str(tmp_path / "calibration")
    for method in ("platt", "isotonic"):
        save_calibration(folder, make_calibration(method), model, 10)
        assert load_calibration(folder).method == method


def test_a_model_of_other_weights_is_refused(tmp_path, model):
    folder = str(tmp_path / "calibration")
    save_calibration(folder, make_calibration(), model, 10)
    weights, bias = random_model(1, 3, 4)
    weights[0, 1, 2] += 1e-3
    other = write_model(tmp_path / "other", weights, bias, [2, 5, 7], n_files=2)
    assert model_digest(other) != model_digest(model)
    with pytest.raises(InputError, match=r"calibration is of another model in .*calibration, exp"):
        load_calibration(folder, other)
    copy = write_model(tmp_path / "copy", *random_model(1, 3, 4), [2, 5, 7], n_files=2)
    assert load_calibration(folder, copy).n_pooled == 2


def test_what_is_no_calibration_is_refused(tmp_path, model):
    with pytest.raises(InputError, match=r"no such file in .*calibration\.json"):
        load_calibration(str(tmp_path), model)
    with pytest.raises(InputError, match=r"no such file in .*model\.json"):
        save_calibration(str(tmp_path / "c"), make_calibration(), str(tmp_path / "none"), 10)


@pytest.mark.parametrize(
    "changes",
    [
        {"maps": np.array([0, 2, 0])},
        {"maps": np.array([0, 1])},
        {"offsets": np.array([0, 1, 3])},
        {"y": np.array([0.5, np.nan])},
    ],
    ids=["no such map", "another number of entities", "more numbers than there are", "NaN"],
)
def test_arrays_that_do_not_fit_together_are_refused(tmp_path, model, changes):
    folder = str(tmp_path / "calibration")
    save_calibration(folder, make_calibration()._replace(**changes), model, 10)
    with pytest.raises(InputError, match="do not fit together"):
        load_calibration(folder)


def test_an_unknown_method_is_refused(tmp_path, model):
    folder = tmp_path / "calibration"
    save_calibration(str(folder), make_calibration(), model, 10)
    described = json.loads((folder / "calibration.json").read_text())
    (folder / "calibration.json").write_text(json.dumps(described | {"method": "beta"}))
    with pytest.raises(InputError, match="a method, one of platt, isotonic"):
        load_calibration(str(folder))
