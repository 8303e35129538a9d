"""Codebooks of frames in a folder. What they hold: tests/core/test_frame_codebook.py."""

import json

import numpy as np
import pytest
from frame_codebooks import make_gmm, make_kmeans

from yt8m_spark.core.frame_codebook import FrameProjection
from yt8m_spark.errors import InputError
from yt8m_spark.frame_codebook_files import load_codebooks, save_codebooks


@pytest.fixture
def folder(tmp_path):
    projection = FrameProjection(np.zeros(5, np.float32), np.eye(3, 5, dtype=np.float32))
    books = {
        "kmeans": {"rgb": make_kmeans(power=0.3, intra=True), "audio": make_kmeans(2, 7)},
        "gmm": {"rgb": make_gmm(projection=projection)},
    }
    save_codebooks(str(tmp_path), books, {"note": 1})
    return tmp_path, books


def test_what_is_saved_is_loaded(folder):
    path, books = folder
    found = load_codebooks(str(path))
    for method, of_lists in books.items():
        assert found[method].keys() == of_lists.keys()
        for name, book in of_lists.items():
            assert found[method][name].digest == book.digest
            assert found[method][name].method == method


def rewrite(path, change):
    described = json.loads((path / "frame_codebook.json").read_text())
    change(described)
    (path / "frame_codebook.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["codebooks"]["kmeans"]["rgb"].update(power=0.5), "not of one fit"),
        (lambda d: d["codebooks"]["kmeans"].pop("audio"), "not of one fit"),
        (lambda d: d.pop("codebooks"), "not a codebook of frames"),
        (lambda d: d["codebooks"].update(median={}), "not a codebook of frames"),
        (lambda d: d["codebooks"]["kmeans"].update(video={"arrays": ["centres"]}), "is missing"),
        (lambda d: d["codebooks"]["kmeans"]["rgb"].update(arrays=[]), "not a codebook of frames"),
    ],
)
def test_a_damaged_description_is_refused(folder, change, message):
    path, _ = folder
    rewrite(path, change)
    with pytest.raises(InputError, match=message):
        load_codebooks(str(path))


def test_damaged_arrays_and_other_folders_are_refused(folder):
    path, _ = folder
    stored = path / "frame_codebook.npz"
    stored.write_bytes(stored.read_bytes()[:200])
    with pytest.raises(InputError, match=r"not an \.npz file"):
        load_codebooks(str(path))
    with pytest.raises(InputError, match="no such file"):
        load_codebooks(str(path / "elsewhere"))


def test_numbers_that_are_not_finite_are_refused(folder):
    path, _ = folder
    with np.load(path / "frame_codebook.npz") as file:
        arrays = dict(file)
    arrays["gmm.rgb.variances"][0, 0] = np.nan
    np.savez(path / "frame_codebook.npz", **arrays)
    with pytest.raises(InputError, match="variances must be finite"):
        load_codebooks(str(path))
