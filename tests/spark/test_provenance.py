"""Which whitening features came from. The jobs that note and check it are tested in tests/jobs."""

import numpy as np
import pytest

from yt8m_spark.artifacts import save_json
from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.whitening import fit_whitening
from yt8m_spark.errors import InputError
from yt8m_spark.spark.provenance import check_same_whitening, mark_features, whitening_of
from yt8m_spark.whitening_files import save_whitening


def make(folder, seed):
    """A whitening, and the folder of features it made."""
    rows = np.random.default_rng(seed).normal(size=(20, 3))
    whitening = fit_whitening(moments_of(rows))
    save_whitening(str(folder / f"w{seed}"), whitening, ["mean_rgb"])
    (folder / f"f{seed}").mkdir()
    mark_features(str(folder / f"f{seed}"), str(folder / f"w{seed}"))
    return whitening.digest, str(folder / f"f{seed}")


def make_model(folder, digest):
    described = {"loss": "hinge", "n_entities": 1, "n_experts": 1, "n_features": 3}
    described["whitening"] = digest
    save_json(folder / "model/model.json", described)
    return str(folder / "model")


def test_the_digest_is_noted(tmp_path):
    digest, features = make(tmp_path, 0)
    assert whitening_of(features) == digest


def test_features_of_the_same_whitening_pass(tmp_path):
    digest, features = make(tmp_path, 0)
    check_same_whitening(features, make_model(tmp_path, digest))


def test_features_of_another_whitening_are_refused(tmp_path):
    digest, _ = make(tmp_path, 0)
    other, features = make(tmp_path, 1)
    with pytest.raises(InputError, match=f"another whitening.*{digest[:12]}, found {other[:12]}"):
        check_same_whitening(features, make_model(tmp_path, digest))


def test_features_or_models_from_elsewhere_are_taken_as_they_are(tmp_path):
    _, features = make(tmp_path, 0)
    check_same_whitening(features, make_model(tmp_path, None))
    (tmp_path / "plain").mkdir()
    check_same_whitening(str(tmp_path / "plain"), make_model(tmp_path, "x" * 64))
