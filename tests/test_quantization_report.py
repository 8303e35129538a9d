"""Figures, table and picture of a code's cost. The sums: tests/core; whole jobs: tests/jobs."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.core.codebooks import Codebook, linear_code
from yt8m_spark.core.distortion import distortion_of
from yt8m_spark.quantization_report import (
    byte_counts,
    code_figures,
    draw_distortions,
    figures_text,
    joined,
    sample_note,
    write_report,
)

EXACT = Codebook(np.float32([[0, 3]]), np.array([[1.5]]), np.float32([[0, 3]]))


def make_distortions(widths=(3, 2), n=7):
    """Column c0, c1, ... of 0 and 3, which one code reads as they are and the other clips."""
    rng = np.random.default_rng(0)
    codes = {"released": linear_code(), "lloyd_max": EXACT}
    values = {f"c{i}": rng.choice(np.float32([0, 3]), size=(n, w)) for i, w in enumerate(widths)}
    return values, {
        name: {code: distortion_of(matrix, book) for code, book in codes.items()}
        for name, matrix in values.items()
    }


@pytest.fixture
def table(tmp_path):
    (tmp_path / "t/_codebook").mkdir(parents=True)
    (tmp_path / "t/_codebook/codebook.json").write_text("x" * 99)
    columns = {"c0": [b"abc"] * 7, "c1": [b"ab"] * 7, "other": ["long text"] * 7}
    pq.write_table(pa.table(columns), tmp_path / "t/part-0.parquet")
    return str(tmp_path / "t")


def test_columns_are_joined_feature_by_feature():
    values, distortions = make_distortions()
    expected = distortion_of(np.concatenate(list(values.values()), axis=1), linear_code())
    for found, wanted in zip(joined(distortions)["released"], expected, strict=True):
        assert_allclose(found, wanted)


def test_figures_of_an_exact_code_are_zeros_and_no_ratio():
    figures = code_figures(joined(make_distortions()[1]))
    none = {"mse": 0, "snr_db": None, "largest_error": 0, "bias": 0, "clipped": 0}
    assert figures["lloyd_max"] == none
    # 3 is clipped to 2 and read a 128th above it.
    assert_allclose(figures["released"]["largest_error"], 1 - 1 / 128)


def test_bytes_are_four_to_one_and_with_the_pca_eight(table):
    _, distortions = make_distortions()
    found = byte_counts(distortions, table, "nowhere.tfrecord")
    assert found["raw_bytes"] == 7 * 5 * 4
    assert found["code_bytes"] == 7 * 5
    assert (found["size_ratio"], found["size_ratio_with_pca"]) == (4, 8)
    assert found["codebook_bytes"] == 99
    assert found["stored_bytes_before"] is None
    group = pq.read_metadata(f"{table}/part-0.parquet").row_group(0)
    assert found["stored_bytes"] == sum(group.column(i).total_compressed_size for i in (0, 1))
    assert byte_counts(distortions, table, table)["stored_bytes_before"] == found["stored_bytes"]


def test_the_table_has_a_line_a_code():
    text = figures_text(code_figures(joined(make_distortions()[1])))
    head, _, released, fitted = text.splitlines()
    assert head.split()[0] == "code"
    assert released.startswith("released")
    assert fitted.split() == ["lloyd_max", "0.000e+00", "inf", "0.000e+00", "+0.0e+00", "0.0000"]
    assert len({len(line) for line in text.splitlines()}) == 1


def test_a_report_is_json_and_a_picture(table, tmp_path):
    _, distortions = make_distortions()
    figures = write_report(table, distortions, code="lloyd_max", source="x")
    report = json.loads((tmp_path / "t/_report/report.json").read_text())
    assert report["code"] == "lloyd_max"
    assert report["n_videos"] == figures["n_videos"] == 7
    assert report["codes"]["released"]["mse"] == figures["released.mse"]
    assert set(report["columns"]) == {"c0", "c1"}
    picture = (tmp_path / "t/_report/distortion.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert sorted(p.name for p in (tmp_path / "t/_report").iterdir()) == [
        "distortion.png",
        "report.json",
    ]


@pytest.mark.parametrize("widths", [(1,), (30,), (2,) * 9])
def test_any_number_of_columns_and_features_is_drawn(widths, tmp_path):
    draw_distortions(make_distortions(widths)[1], str(tmp_path / "x.png"))
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_few_videos_for_levels_of_each_feature_are_told_of():
    many = Codebook(
        np.zeros((2, 256), np.float32), np.zeros((2, 255)), np.zeros((2, 2), np.float32)
    )
    assert "10.0 videos a level" in sample_note({"x": many}, 2560)
    assert sample_note({"x": many}, 25600) == ""
    assert sample_note({"x": linear_code()}, 3) == ""
