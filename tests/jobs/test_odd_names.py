"""Names with signs that mean something to a shell, to Spark or to a URI, in and out of the jobs.

Patterns themselves are tested in tests/formats/test_shards.py.
"""

import os

import pytest

from yt8m_spark.formats.tfrecord import write_records

NAMES = [
    "q'uo\"te 100% a%20b#?",
    "a*b[0-9]{a,b}",
    "-new\nline 漢字 x=1",
    "a:b;c&d$HOME back\\slash ~",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_input_and_an_output_may_have_any_name(job, records, tmp_path, name):
    shard = f"{name[:150]}.tfrecord"
    write_records(str(tmp_path / shard), [records["video"](i) for i in range(3)])
    finished = job("convert_tfrecords", f"--input={shard}", f"--output={name}")
    assert finished.status == 0, finished.stderr
    assert finished.result["metrics"]["n_videos"] == 3
    assert finished.result["outputs"]["table"].endswith(name)
    kept = {shard, name, "mlflow_pending", "mlruns"}
    assert {n for n in os.listdir(tmp_path) if not n.startswith(".")} <= kept
    again = job("convert_tfrecords", f"--input={shard}", f"--output={name}")
    assert again.status == 2
    assert "output exists already" in again.error


def test_tables_of_odd_names_go_through_the_main_jobs(job, records, tmp_path):
    folder = "a [b] {c},*?#% '\"=漢\\"
    (tmp_path / folder).mkdir()
    rows = [records["video"](i) for i in range(29)]  # entities of 10 and of 9 videos
    write_records(str(tmp_path / folder / "x.tfrecord"), rows)
    paths = {n: f"{folder}/{n}" for n in ("videos", "whitening", "features", "model", "scores")}
    for name, *options in (
        ("convert_tfrecords", f"--input={folder}/x.tfrecord", f"--output={paths['videos']}"),
        (
            *("fit_whitening", f"--input={paths['videos']}", f"--output={paths['whitening']}"),
            "--columns=mean_rgb",
        ),
        (
            *("normalize_videos", f"--input={paths['videos']}"),
            *(f"--whitening={paths['whitening']}", f"--output={paths['features']}"),
        ),
        ("train_entities", f"--input={paths['features']}", f"--output={paths['model']}"),
        (
            *("predict", f"--model={paths['model']}", f"--input={paths['features']}"),
            f"--output={paths['scores']}",
        ),
        ("evaluate", f"--predictions={paths['scores']}", f"--output={folder}/evaluation"),
    ):
        finished = job(name, *options)
        assert finished.status == 0, (name, finished.stderr)
    assert finished.result["metrics"]["hit_at_1"] == 1.0
    found = {n for n in os.listdir(tmp_path / folder) if not n.startswith(".")}
    assert found - {"mlflow_pending"} == {*paths, "x.tfrecord", "evaluation"}


@pytest.mark.parametrize("name", ["n" * 300, "a\0b", "x/" * 3000])
def test_a_name_that_no_disk_takes_is_one_line(job, video_shards, name):
    finished = job("convert_tfrecords", "--input", video_shards, "--output", name)
    assert finished.status == 2
    assert len(finished.error.splitlines()) == 1
