"""Whitening on Spark against scikit-learn. Its algebra is tested in tests/core."""

import json
import os
import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pyspark.errors import PySparkException
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType, StructType
from sklearn.decomposition import PCA

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.whitening import fit_whitening
from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.schemas import FEATURES, videos_schema
from yt8m_spark.spark.whitening import (
    column_widths,
    fit_columns,
    normalize_videos,
)
from yt8m_spark.whitening_files import load_whitening, save_whitening

COLUMNS = ["mean_rgb", "mean_audio"]


def make_rows(n=60, d=5, seed=0):
    """(V, 5) correlated rows; the first three columns are mean_rgb, the others mean_audio."""
    rng = np.random.default_rng(seed)
    return (rng.normal(3, 1, size=(n, d)) @ rng.normal(size=(d, d))).astype(np.float32)


def make_videos(spark, rows, n_partitions=2):
    videos = [
        (f"v{i:03d}", [i % 4], 300, row[:3].tolist(), row[3:].tolist())
        for i, row in enumerate(rows)
    ]
    return spark.createDataFrame(videos, videos_schema(COLUMNS)).repartition(n_partitions)


def collected(features):
    rows = features.orderBy("video_id").collect()
    return np.array([row.features for row in rows], dtype=np.float32)


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


@pytest.fixture
def fitted(tmp_path):
    """A whitening of `make_rows`, fitted in memory and saved."""
    whitening = fit_whitening(moments_of(make_rows()), 4, ridge=0.5)
    save_whitening(str(tmp_path / "whitening"), whitening, COLUMNS)
    return str(tmp_path / "whitening")


def test_fit_and_features_equal_scikit_learn(spark, tmp_path):
    rows = make_rows()
    videos = make_videos(spark, rows)
    whitening, fitted_on = fit_columns(videos, COLUMNS, n_components=3, ridge=0)
    save_whitening(str(tmp_path), whitening, COLUMNS)
    pca = PCA(3, whiten=True).fit(rows.astype(np.float64))
    expected = pca.transform(rows.astype(np.float64))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = collected(normalize_videos(videos, str(tmp_path)))
    assert fitted_on == (len(rows), [3, 2])
    assert_allclose(
        whitening.explained_variance_ratio, pca.explained_variance_ratio_.sum(), rtol=1e-6
    )
    # The signs of eigenvectors are free.
    signs = np.sign((found * expected).sum(axis=0))
    assert_allclose(found * signs, expected, rtol=1e-4, atol=1e-5)


def test_the_fit_does_not_depend_on_partitions(spark):
    one, _ = fit_columns(make_videos(spark, make_rows(), 1), COLUMNS, ridge=0.5)
    many, _ = fit_columns(make_videos(spark, make_rows()[::-1], 7), COLUMNS, ridge=0.5)
    assert_allclose(many.projection, one.projection, rtol=1e-4, atol=1e-5)  # float32 products


@pytest.mark.parametrize("asked", [{"n_components": 3}, {"explained_variance": 0.9}])
def test_wide_columns_go_by_tiles_to_the_same_whitening(spark, tmp_path, asked):
    videos = make_videos(spark, make_rows())
    whole, _ = fit_columns(videos, COLUMNS, ridge=0.5, **asked)
    work = tmp_path / "work"
    # 8 D^2 bytes are more than an eighth of this, and 3 components of 5 (48 C D bytes) are not.
    tiled, fitted_on = fit_columns(
        videos, COLUMNS, ridge=0.5, **asked, memory=48 * 3 * 5, work=str(work)
    )
    assert fitted_on == (60, [3, 2])
    assert_allclose(tiled.projection, whole.projection, rtol=1e-4, atol=1e-5)
    assert_allclose(tiled.total_variance, whole.total_variance, rtol=1e-6)
    assert not work.exists()


def test_all_components_of_wide_columns_are_refused_before_any_work(spark, tmp_path):
    videos = make_videos(spark, make_rows(9))
    work = str(tmp_path / "work")
    message = failure(lambda: fit_columns(videos, COLUMNS, n_components=5, memory=1000, work=work))
    assert message.startswith("5 components of 5 features need more memory than")
    assert "give n_components of at most 4, or memory of 1 MiB" in message
    assert not os.path.exists(work)


def test_wide_columns_without_a_work_folder_are_refused(spark):
    videos = make_videos(spark, make_rows(9))
    message = failure(lambda: fit_columns(videos, COLUMNS, n_components=2, memory=1000))
    assert message.startswith("5 features are too wide for one covariance in column mean_rgb")


@pytest.mark.parametrize("method", ["pca", "zca", "none"])
@pytest.mark.parametrize("l2_normalize", [True, False])
def test_features_of_every_method_are_as_the_folder_says(spark, tmp_path, method, l2_normalize):
    rows = make_rows(20)
    videos = make_videos(spark, rows)
    whitening, fitted_on = fit_columns(videos, COLUMNS, method=method, l2_normalize=l2_normalize)
    save_whitening(str(tmp_path), whitening, COLUMNS, fitted_on.widths)
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(rows.T.astype(np.float64), bias=True))
    scaled = vectors / np.sqrt(values + 10 * values.mean())
    expected = {"pca": centred @ scaled, "zca": centred @ scaled @ vectors.T, "none": centred}
    features = expected[method]
    if l2_normalize:
        features = features / np.linalg.norm(features, axis=1, keepdims=True)
    found = collected(normalize_videos(videos, str(tmp_path)))
    if method == "pca":  # ascending with eigh, and the signs of eigenvectors are free
        features = features[:, ::-1]
        features = features * np.sign((found * features).sum(axis=0))
    assert_allclose(found, features, rtol=1e-4, atol=1e-5)


def test_a_folder_of_an_older_version_is_read_as_pca_and_length_one(fitted):
    path = f"{fitted}/whitening.json"
    with open(path) as file:
        described = json.load(file)
    for name in ("method", "l2_normalize"):
        del described[name]
    with open(path, "w") as file:
        json.dump(described, file)
    whitening, _ = load_whitening(fitted)
    assert (whitening.method, whitening.l2_normalize) == ("pca", True)


def test_a_method_changed_by_hand_is_refused(fitted):
    path = f"{fitted}/whitening.json"
    with open(path) as file:
        described = json.load(file)
    for changed, message in (
        ({"method": "zca"}, "not of one fit"),
        ({"l2_normalize": False}, "not of one fit"),
        ({"method": "ica"}, "unknown method"),
    ):
        with open(path, "w") as file:
            json.dump(described | changed, file)
        with pytest.raises(InputError, match=message):
            load_whitening(fitted)


def test_options_that_make_no_sense_are_refused(spark):
    videos = make_videos(spark, make_rows(9))
    message = failure(lambda: fit_columns(videos, COLUMNS, n_components=2, explained_variance=0.9))
    assert message.startswith("give n_components or explained_variance, not both")


@pytest.mark.parametrize("n_partitions", [1, 3, 14])  # of 14, some hold no row
def test_features_do_not_depend_on_partitions(spark, fitted, n_partitions):
    rows, fitted_on = make_rows()[:11], make_rows()
    whitening, _ = load_whitening(fitted)
    floor = 0.5 * np.trace(np.cov(fitted_on.T.astype(np.float64), bias=True)) / 5
    expected = (rows - fitted_on.mean(axis=0, dtype=np.float64)) @ whitening.components.T
    expected /= np.sqrt(whitening.eigenvalues + floor)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = collected(normalize_videos(make_videos(spark, rows, n_partitions), fitted))
    assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_features_table_has_its_schema_and_keeps_ids_and_labels(spark, fitted):
    features = normalize_videos(make_videos(spark, make_rows(5)), fitted)
    assert features.schema == FEATURES
    kept = [(row.video_id, row.labels) for row in features.orderBy("video_id").collect()]
    assert kept == [(f"v{i:03d}", [i % 4]) for i in range(5)]


def test_vectors_and_doubles_give_the_same_features(spark, fitted):
    rows = make_rows(6)
    schema = StructType(videos_schema([]).fields).add("mean_rgb", VectorUDT())
    schema.add("mean_audio", ArrayType(DoubleType()))
    videos = [
        (f"v{i:03d}", [], 300, Vectors.dense(row[:3].tolist()), row[3:].tolist())
        for i, row in enumerate(rows)
    ]
    found = collected(normalize_videos(spark.createDataFrame(videos, schema), fitted))
    assert_array_equal(found, collected(normalize_videos(make_videos(spark, rows), fitted)))


def test_what_is_saved_is_loaded(fitted):
    whitening, columns = load_whitening(fitted)
    expected = fit_whitening(moments_of(make_rows()), 4, ridge=0.5)
    assert columns == COLUMNS
    assert_array_equal(whitening.projection, expected.projection)
    assert_array_equal(whitening.mean, expected.mean)


def test_a_refitted_folder_is_read_again_by_workers_that_knew_the_old_one(spark, fitted):
    videos = make_videos(spark, make_rows(), 6)  # enough tasks for every worker to have some
    before = collected(normalize_videos(videos, fitted))
    save_whitening(fitted, fit_whitening(moments_of(make_rows(seed=1)), 2), COLUMNS)
    after = collected(normalize_videos(videos, fitted))
    assert before.shape == (60, 4)
    assert after.shape == (60, 2)


def test_a_whitening_replaced_before_the_tasks_run_is_refused(spark, fitted):
    features = normalize_videos(make_videos(spark, make_rows(3)), fitted)
    save_whitening(fitted, fit_whitening(moments_of(make_rows(seed=1)), 4), COLUMNS)
    assert "whitening has been replaced" in failure(features.collect)


def test_a_folder_named_relatively_is_found_by_tasks(spark, fitted, monkeypatch):
    monkeypatch.chdir(os.path.dirname(fitted))
    features = normalize_videos(make_videos(spark, make_rows(3)), "whitening")
    assert collected(features).shape == (3, 4)


def test_a_missing_column_is_refused(spark, fitted):
    videos = make_videos(spark, make_rows(3))
    for name in ("video_id", "labels", "mean_audio"):
        message = failure(lambda name=name: normalize_videos(videos.drop(name), fitted))
        assert f"no column '{name}' in videos table" in message


def test_another_width_is_refused(spark, fitted):
    videos = make_videos(spark, make_rows(3)).withColumn("mean_audio", F.col("mean_rgb"))
    message = failure(normalize_videos(videos, fitted).collect)
    assert message == (
        "feature width is not that of the whitening in column mean_rgb, mean_audio, "
        "expected 5, found 6"
    )


def test_nan_is_refused_when_fitting_and_when_normalising(spark, fitted):
    rows = make_rows(4)
    rows[2, 1] = np.nan
    videos = make_videos(spark, rows)
    expected = "value is not finite in column 'mean_rgb', feature 1"
    assert expected in failure(lambda: fit_columns(videos, COLUMNS))
    assert expected in failure(normalize_videos(videos, fitted).collect)


def test_a_null_row_is_refused(spark, fitted):
    videos = make_videos(spark, make_rows(4)).withColumn(
        "mean_audio", F.expr("if(video_id = 'v002', null, mean_audio)")
    )
    assert "null row in column 'mean_audio'" in failure(normalize_videos(videos, fitted).collect)


def test_a_list_without_frames_counts_as_the_mean_of_the_training_videos(spark, tmp_path):
    rows = make_rows(20)
    videos = make_videos(spark, rows)
    whitening, _ = fit_columns(videos, COLUMNS)
    save_whitening(str(tmp_path), whitening, COLUMNS, column_widths(videos, COLUMNS))
    silent = videos.withColumn("mean_audio", F.expr("cast(null as array<float>)"))
    expected = (rows - whitening.mean)[:, :3] @ whitening.projection[:3]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = collected(normalize_videos(silent, str(tmp_path)))
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_an_empty_table_cannot_be_fitted_but_normalises_to_an_empty_one(spark, fitted):
    videos = make_videos(spark, make_rows(0))
    assert "no rows" in failure(lambda: fit_columns(videos, COLUMNS))
    assert normalize_videos(videos, fitted).collect() == []


def test_more_components_than_features_are_refused(spark):
    message = failure(
        lambda: fit_columns(make_videos(spark, make_rows(9)), COLUMNS, n_components=6)
    )
    assert message == "n_components must be 1 to 5, got 6 in column mean_rgb, mean_audio"


@pytest.mark.parametrize("name", ["whitening.npz", "whitening.json"])
def test_a_folder_without_a_file_of_the_whitening_is_refused(fitted, name):
    os.remove(f"{fitted}/{name}")
    with pytest.raises(InputError, match=f"no such file in .*{name}"):
        load_whitening(fitted)


def test_files_of_two_fits_are_refused(fitted, tmp_path):
    other = str(tmp_path / "other")
    save_whitening(other, fit_whitening(moments_of(make_rows(seed=1)), 4), COLUMNS)
    shutil.copy(f"{other}/whitening.npz", fitted)
    with pytest.raises(InputError, match="not of one fit"):
        load_whitening(fitted)


def test_a_cut_file_is_refused(fitted):
    with open(f"{fitted}/whitening.npz", "r+b") as file:
        file.truncate(100)
    with pytest.raises(InputError, match=r"not an \.npz file"):
        load_whitening(fitted)


def test_the_description_tells_people_what_the_folder_holds(fitted):
    with open(f"{fitted}/whitening.json") as file:
        described = json.load(file)
    assert described["columns"] == COLUMNS
    assert (described["width"], described["n_components"], described["ridge"]) == (5, 4, 0.5)
