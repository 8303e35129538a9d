"""The files of one shard, without Spark. What Spark writes to them is tested in test_shards.py."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.core.stored_features import decoder_of
from yt8m_spark.errors import InputError
from yt8m_spark.spark import shard_files as module
from yt8m_spark.spark.shard_files import feature_file, read_features, read_labels, write_shard


def make_features(v=50, d=6, dtype="float32", seed=0):
    return np.random.default_rng(seed).normal(size=(v, d)).astype(dtype)


def write(folder, features, counts=None, values=()):
    counts = np.zeros(len(features), int) if counts is None else np.array(counts)
    write_shard(str(folder), 7, features, counts, np.array(values, int))
    return folder / "00007.features.npy", folder / "00007.labels.npy"


def read(path, features, rows=None):
    dtype = str(features.dtype)
    rows = None if rows is None else np.array(rows, np.int64)
    return read_features(path, features.shape, dtype, decoder_of(dtype), rows)


@pytest.fixture(params=[1, 100, 1 << 19])
def block_bytes(request, monkeypatch):
    """Blocks of one row, of some, and of all."""
    monkeypatch.setattr(module, "_BLOCK_BYTES", request.param)


ROWS = {
    "none": [],
    "one": [49],
    "some": [3, 40, 12, 41, 0],
    "repeated": [5, 5, 49, 5, 0, 0],
    "front": list(range(20)),
    "back": list(range(49, 29, -1)),
    "permuted": np.random.default_rng(3).permutation(50),
    "drawn": np.random.default_rng(3).integers(0, 50, 200),
}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_rows_come_in_the_order_asked(tmp_path, block_bytes, dtype, rows):
    features = make_features(dtype=dtype)
    path, _ = write(tmp_path, features)
    found = read(path, features, rows)
    assert found.dtype == np.float32
    assert_array_equal(found, features[np.array(rows, int)].astype(np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_all_rows_come_as_stored_and_can_be_written_to(tmp_path, block_bytes, dtype):
    features = make_features(dtype=dtype)
    path, _ = write(tmp_path, features)
    found = read(path, features)
    assert_array_equal(found, features.astype(np.float32))
    found[:] = 0
    assert_array_equal(read(path, features), features.astype(np.float32))


@pytest.mark.parametrize("shape", [(0, 6), (3, 0), (0, 0)])
@pytest.mark.parametrize("rows", [None, []])
def test_shards_without_videos_or_features_are_read(tmp_path, shape, rows):
    features = np.empty(shape, np.float32)
    path, _ = write(tmp_path, features)
    assert read(path, features, rows).shape == (shape if rows is None else (0, shape[1]))


@pytest.mark.parametrize("row", [-1, 50])
def test_rows_that_are_not_there_are_refused(tmp_path, row):
    features = make_features()
    path, _ = write(tmp_path, features)
    with pytest.raises(IndexError, match="rows must be 0 to 49"):
        read(path, features, [row])


def test_a_file_is_the_header_and_the_values_of_an_npy(tmp_path):
    features = make_features()
    path, labels = write(tmp_path, features, [2] + [0] * 49, [9, 4])
    assert_array_equal(np.load(path), features)
    assert np.load(labels).tolist() == [2, *[0] * 49, 9, 4]
    assert np.load(labels).dtype == np.int32


def test_the_bytes_of_both_files_are_told(tmp_path):
    sizes = write_shard(str(tmp_path), 0, make_features(), np.zeros(50, int), np.empty(0, int))
    names = (feature_file(0), "00000.labels.npy")
    assert sizes == tuple((tmp_path / name).stat().st_size for name in names)


def test_labels_come_video_by_video(tmp_path):
    _, path = write(tmp_path, make_features(4), [2, 0, 0, 1], [8, 3, 8])
    offsets, values = read_labels(path, 4)
    assert offsets.tolist() == [0, 2, 2, 2, 3]
    assert values.tolist() == [8, 3, 8]
    assert (offsets.dtype, values.dtype) == (np.int64, np.int32)


def test_no_videos_have_no_labels(tmp_path):
    _, path = write(tmp_path, make_features(0))
    offsets, values = read_labels(path, 0)
    assert (offsets.tolist(), values.tolist()) == ([0], [])


@pytest.mark.parametrize("rows", [None, [0, 49]])
def test_a_file_that_is_cut_short_is_refused(tmp_path, block_bytes, rows):
    features = make_features()
    path, _ = write(tmp_path, features)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"cut short in .*00007.features.npy, expected .* bytes"):
        read(path, features, rows)


@pytest.mark.parametrize("n_bytes", [0, 5, 60])
def test_a_file_that_is_cut_in_its_header_is_refused(tmp_path, n_bytes):
    features = make_features()
    path, _ = write(tmp_path, features)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(InputError, match=r"of another kind in .*00007.features.npy"):
        read(path, features)


@pytest.mark.parametrize(
    "other", [make_features(49), make_features(d=5), make_features(dtype="float16"), np.zeros(300)]
)
def test_a_file_of_another_shape_or_type_is_refused(tmp_path, other):
    path, _ = write(tmp_path, make_features())
    with path.open("wb") as file:
        np.save(file, other)
    with pytest.raises(InputError, match=r"of another kind in .*expected \(50, 6\) float32"):
        read(path, make_features())


def test_a_file_in_the_order_of_columns_is_refused(tmp_path):
    path, _ = write(tmp_path, np.asfortranarray(make_features()))
    with pytest.raises(InputError, match="of another kind"):
        read(path, make_features())


def test_files_that_are_missing_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"no such file in .*00001.features.npy"):
        read(tmp_path / feature_file(1), make_features())
    with pytest.raises(InputError, match=r"no such file in .*00001.labels.npy"):
        read_labels(tmp_path / "00001.labels.npy", 3)


@pytest.mark.parametrize("n_videos", [2, 5, 9])
def test_labels_of_another_number_of_videos_are_refused(tmp_path, n_videos):
    _, path = write(tmp_path, make_features(4), [2, 1, 1, 1], [8, 3, 8, 3, 3])
    with pytest.raises(InputError, match=r"damaged in .*00007.labels.npy"):
        read_labels(path, n_videos)
