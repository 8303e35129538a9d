"""Files of a frame PCA, damaged ones too. What a PCA does is tested in tests/core."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.core.frame_pca import FramePca, apply_frame_pca, invert_frame_pca
from yt8m_spark.errors import InputError
from yt8m_spark.formats.pca_files import read_frame_pca

M, D = 9, 6


def orthonormal(d, m, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(m, d)))[0].T


def release_arrays():
    rng = np.random.default_rng(1)
    return {
        "mean": rng.uniform(0, 1, (M, 1)).astype(np.float32),  # the release has columns
        "eigenvals": np.geomspace(10, 0.01, M)[:, None].astype(np.float32),
        "eigenvecs": orthonormal(M, M).astype(np.float32),
    }


def write(folder, arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return str(folder)


def test_the_first_components_are_taken_as_the_release_does(tmp_path):
    arrays = release_arrays()
    pca = FramePca(*read_frame_pca(write(tmp_path, arrays), D))
    frames = np.random.default_rng(2).uniform(0, 3, (5, M))
    # The release: feats - mean, times eigenvecs.T[:, :D], over sqrt(eigenvals[:D] + 1e-4).
    expected = (frames - arrays["mean"].T) @ arrays["eigenvecs"].T[:, :D]
    expected /= np.sqrt(arrays["eigenvals"][:D].T + 1e-4)
    assert_allclose(apply_frame_pca(frames, pca), expected, rtol=1e-5, atol=1e-6)


def test_all_components_are_the_default(tmp_path):
    pca = read_frame_pca(write(tmp_path, release_arrays()) + "/")
    assert (pca.mean.shape, pca.components.shape, pca.scale.shape) == ((M,), (M, M), (M,))
    assert {array.dtype for array in pca} == {np.dtype(np.float32)}


def test_eigenvectors_may_be_fewer_than_eigenvalues(tmp_path):
    arrays = release_arrays() | {"eigenvecs": orthonormal(D, M)}
    assert read_frame_pca(write(tmp_path, arrays)).scale.shape == (D,)


def test_vggish_has_the_whitening_in_its_rows(tmp_path):
    rng = np.random.default_rng(1)
    vectors = orthonormal(D, M) * rng.uniform(0.5, 2, (D, 1))
    means = rng.normal(size=(M, 1))
    path = str(tmp_path / "vggish.npz")
    np.savez(path, pca_eigen_vectors=vectors, pca_means=means)
    pca = FramePca(*read_frame_pca(path))
    embeddings = rng.normal(size=(5, M))
    expected = (vectors @ (embeddings.T - means)).T  # as VGGish's own postprocessor
    assert_allclose(apply_frame_pca(embeddings, pca), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture
def real_folder(shared_data, tmp_path):
    """YouTube-8M's own mean and eigenvalues; its eigenvectors are not public, so others."""
    for name in ("mean", "eigenvals"):
        array = np.load(shared_data / "yt8m_pca" / f"{name}.npy")
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "eigenvecs.npy", orthonormal(2048, 2048).astype(np.float32))
    return str(tmp_path)


def test_the_real_mean_and_eigenvalues_whiten_a_real_frame_and_give_it_back(
    real_folder, shared_data
):
    text = (shared_data / "yt8m_pca" / "AO7u7fwGzJQ_at_second_0_feats.json").read_text()
    frame = np.array([json.loads(text)])
    pca = FramePca(*read_frame_pca(real_folder))
    assert_allclose(invert_frame_pca(apply_frame_pca(frame, pca), pca), frame, atol=1e-4)
    kept = FramePca(*read_frame_pca(real_folder, 1024))
    assert kept.components.shape == (1024, 2048)
    whitened = apply_frame_pca(frame, kept)
    back = apply_frame_pca(invert_frame_pca(whitened, kept), kept)
    assert_allclose(back, whitened, atol=1e-3)


def test_the_real_eigenvalues_are_whitened_to_what_the_ridge_leaves(real_folder, shared_data):
    values = np.load(shared_data / "yt8m_pca" / "eigenvals.npy").ravel().astype(float)
    pca = FramePca(*read_frame_pca(real_folder))
    # One frame one standard deviation off the mean along each eigenvector: its square is the
    # variance that is left of that component, λ / (λ + 1e-4), and no other component moves.
    frames = np.sqrt(values)[:, None] * pca.components + pca.mean
    whitened = apply_frame_pca(frames, pca).astype(float)
    assert_allclose(np.diag(whitened) ** 2, values / (values + 1e-4), rtol=1e-3)
    np.fill_diagonal(whitened, 0)
    assert np.abs(whitened).max() < 1e-3


def test_the_real_vggish_archive_is_read(shared_data):
    path = shared_data / "yt8m_pca" / "vggish_pca_params.npz"
    pca = FramePca(*read_frame_pca(str(path)))
    archive = np.load(path)
    embeddings = np.random.default_rng(0).normal(size=(5, 128))
    expected = (embeddings - archive["pca_means"]) @ archive["pca_eigen_vectors"].T
    assert_allclose(apply_frame_pca(embeddings, pca), expected, rtol=1e-4, atol=1e-4)
    assert_allclose(invert_frame_pca(expected, pca), embeddings, atol=5e-3)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("eigenvecs", np.zeros((6, 8)), r"expected rows of 9, found \(6, 8\)"),
        ("eigenvecs", np.zeros(9), r"expected rows of 9, found \(9,\)"),
        ("eigenvecs", np.zeros((2, 9)), "eigenvector 0 is all zeros"),
        ("eigenvecs", 2 * np.eye(9), "no unit vector .* expected length 1, found 2"),
        ("eigenvecs", np.repeat(np.eye(9), 2, axis=0)[:9], "0 and 1 are not orthogonal"),
        ("eigenvecs", np.eye(9).astype(str), "not an array of numbers .*eigenvecs"),
        ("eigenvals", np.ones(5), "too few eigenvalues .*expected 9, found 5"),
        ("eigenvals", -np.ones(9), "eigenvalue 0 is negative .*found -1"),
        ("mean", np.full(9, np.nan), r"value \(0,\) is not finite in .*mean\.npy, found nan"),
        ("mean", np.array([None] * 9), r"not an array file in .*mean\.npy"),
    ],
)
def test_files_that_make_no_pca_are_refused(tmp_path, name, array, message):
    path = write(tmp_path, release_arrays() | {name: array})
    with pytest.raises(InputError, match=message):
        read_frame_pca(path)


@pytest.mark.parametrize("n_components", [0, 10])
def test_more_components_than_there_are_cannot_be_taken(tmp_path, n_components):
    path = write(tmp_path, release_arrays())
    with pytest.raises(InputError, match=f"expected 1 to 9, found {n_components}"):
        read_frame_pca(path, n_components)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_damaged_files_are_refused(tmp_path, content):
    path = write(tmp_path, release_arrays())
    (tmp_path / "mean.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"not an array file in .*mean\.npy"):
        read_frame_pca(path)
    (tmp_path / "vggish.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"not an archive of arrays in .*vggish\.npz"):
        read_frame_pca(str(tmp_path / "vggish.npz"))


def test_a_file_cut_short_is_refused(tmp_path):
    path = write(tmp_path, release_arrays())
    whole = (tmp_path / "eigenvecs.npy").read_bytes()
    (tmp_path / "eigenvecs.npy").write_bytes(whole[:-40])
    with pytest.raises(InputError, match=r"not an array file in .*eigenvecs\.npy"):
        read_frame_pca(path)


def test_an_archive_cut_short_is_refused(tmp_path):
    path = tmp_path / "vggish.npz"
    np.savez(path, pca_eigen_vectors=np.eye(3), pca_means=np.zeros(3))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match="not an archive of arrays"):
        read_frame_pca(str(path))


def test_files_that_are_missing_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no such file in .*nowhere/mean\.npy"):
        read_frame_pca(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"no such file in .*nowhere\.npz"):
        read_frame_pca(str(tmp_path / "nowhere.npz"))
    np.savez(tmp_path / "other.npz", pca_means=np.zeros(3))
    with pytest.raises(InputError, match=r"no pca_eigen_vectors in .*found pca_means"):
        read_frame_pca(str(tmp_path / "other.npz"))
