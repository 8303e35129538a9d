"""A whitening's folder read without Spark. What it does is tested in tests/core, tests/spark."""

import json

import numpy as np
import pytest

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.whitening import fit_whitening
from yt8m_spark.errors import InputError
from yt8m_spark.whitening_files import load_whitening, save_whitening


@pytest.fixture
def saved(tmp_path):
    rows = np.random.default_rng(0).normal(size=(50, 6))
    whitening = fit_whitening(moments_of(rows), 4)
    save_whitening(str(tmp_path), whitening, ["mean_rgb", "mean_audio"])
    return whitening


def test_what_was_saved_is_read(saved, tmp_path):
    found, columns = load_whitening(str(tmp_path))
    assert found.digest == saved.digest
    assert columns == ["mean_rgb", "mean_audio"]


def test_two_files_of_two_fits_are_refused(saved, tmp_path):
    described = json.loads((tmp_path / "whitening.json").read_text())
    (tmp_path / "whitening.json").write_text(json.dumps(described | {"digest": "0" * 64}))
    with pytest.raises(InputError, match="not of one fit"):
        load_whitening(str(tmp_path))


def test_a_method_of_a_later_version_is_refused(saved, tmp_path):
    described = json.loads((tmp_path / "whitening.json").read_text())
    (tmp_path / "whitening.json").write_text(json.dumps(described | {"method": "magic"}))
    with pytest.raises(InputError, match="unknown method"):
        load_whitening(str(tmp_path))
