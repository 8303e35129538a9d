"""The two whitenings of a transfer differ in where they were learned, and in nothing else."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.whitening import centring_only, fit_whitening
from yt8m_spark.errors import InputError
from yt8m_spark.transfer_whitening import WhiteningChoice, lay_whitening, read_source_whitenings
from yt8m_spark.whitening_files import load_whitening, save_whitening

COLUMNS = ["mean_rgb", "mean_audio"]


def features(seed, n_videos=30):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_videos, 5)) * [5, 4, 3, 2, 1] + rng.normal(size=5)


@pytest.fixture
def source(tmp_path):
    """Folder of a whitening of the source: three components, ridge 0.5."""
    whitening = fit_whitening(moments_of(features(0)), 3, ridge=0.5)
    save_whitening(str(tmp_path / "w"), whitening, COLUMNS, [3, 2])
    return str(tmp_path / "w")


def laid(tmp_path, choice, source, own=None):
    lay_whitening(
        str(tmp_path / "out"),
        choice,
        source,
        own=own,
        work=str(tmp_path / "tiles"),
        heartbeats=None,
    )
    return load_whitening(str(tmp_path / "out"))


def test_the_transferred_whitening_is_the_sources(tmp_path, source):
    found = read_source_whitenings([source])
    assert list(found) == ["mean"]
    assert found["mean"].lists == ("rgb", "audio")
    whitening, columns = laid(tmp_path, WhiteningChoice(), found["mean"])
    assert columns == COLUMNS
    assert whitening.digest == load_whitening(source)[0].digest


def test_a_whitening_of_list_after_list_keeps_its_order(tmp_path):
    # As fit_whitening has it of all columns of a videos table.
    columns = ["mean_rgb", "std_rgb", "mean_audio", "std_audio"]
    whitening = fit_whitening(moments_of(np.random.default_rng(1).normal(size=(30, 10))), 3)
    save_whitening(str(tmp_path / "w"), whitening, columns, [3, 3, 2, 2])
    (found,) = read_source_whitenings([str(tmp_path / "w")]).values()
    assert (found.statistics, found.lists) == (("mean", "std"), ("rgb", "audio"))
    transferred, kept = laid(tmp_path, WhiteningChoice(), found)
    assert kept == columns
    assert transferred.digest == whitening.digest


def test_a_ridge_and_components_that_are_asked_for_are_as_if_fitted_so(tmp_path, source):
    found = read_source_whitenings([source])["mean"]
    whitening, _ = laid(tmp_path, WhiteningChoice(2, 0.1), found)
    expected = fit_whitening(moments_of(features(0)), 2, ridge=0.1)
    assert_allclose(whitening.projection, expected.projection)


@pytest.mark.parametrize(
    ("choice", "n_components", "ridge"),
    [(WhiteningChoice(), 3, 0.5), (WhiteningChoice(2, 0.1), 2, 0.1)],
)
def test_the_own_whitening_is_like_it_but_of_the_target(
    spark, tmp_path, source, choice, n_components, ridge
):
    target = features(7)
    rows = [(x[:3].tolist(), x[3:].tolist()) for x in target]
    table = spark.createDataFrame(rows, "mean_rgb array<float>, mean_audio array<float>")
    found = read_source_whitenings([source])["mean"]
    whitening, _ = laid(tmp_path, choice, found, (table, COLUMNS))
    single = target.astype(np.float32).astype(float)
    expected = fit_whitening(moments_of(single), n_components, ridge=ridge)
    assert_allclose(whitening.projection, expected.projection, atol=1e-5)


def test_a_whitening_that_only_centres_stays_one(tmp_path):
    save_whitening(str(tmp_path / "w"), centring_only(np.ones(5)), COLUMNS, [3, 2])
    found = read_source_whitenings([str(tmp_path / "w")])["mean"]
    assert laid(tmp_path, WhiteningChoice(ridge=0.1), found)[0].method == "none"


def test_more_components_than_the_source_has_are_refused(tmp_path, source):
    found = read_source_whitenings([source])["mean"]
    with pytest.raises(InputError, match="expected at most 3, found 4"):
        laid(tmp_path, WhiteningChoice(4), found)


def test_whitenings_that_are_of_no_row_or_do_not_go_together_are_refused(tmp_path, source):
    whitening, _ = load_whitening(source)
    for name, columns in (("x", ["embedding"]), ("y", ["mean_rgb"]), ("z", ["std_rgb"])):
        save_whitening(str(tmp_path / name), whitening, columns)
    for folders, told in (
        ("x", "not the columns of a row"),
        ("wy", "two whitenings of mean"),
        ("wz", "different feature lists"),
    ):
        with pytest.raises(InputError, match=told):
            read_source_whitenings([str(tmp_path / name) for name in folders])
