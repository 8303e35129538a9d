"""The comparison job by its command line. What it finds and shows is tested beside its modules."""

import csv
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from comparison_files import FIGURES, entities, normal_replicates, save_evaluation
from mlflow import MlflowClient

from yt8m_spark.tracking import tracked_run

JOB = Path(__file__).parents[2] / "jobs" / "compare_runs.py"
BASE, MINE = {1: 0.5, 2: 0.25, 3: 0.75}, {1: 0.75, 2: 0.5, 3: 0.5}


@pytest.fixture
def compare_runs(tracking_uri, tmp_path, monkeypatch, capfd):
    """Run the job in a temporary folder, in this process; returns status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    monkeypatch.setattr("yt8m_spark.session.get_spark", None)  # to call it is an error

    def run(*arguments):
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["compare_runs.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(JOB), run_name="__main__")
        return ended.value.code, *capfd.readouterr()

    return run


@pytest.fixture
def folders(tmp_path):
    """Evaluations ``a`` and ``b`` of the same videos, ``c`` of others."""
    luck = normal_replicates(0.0, 0.05)
    save_evaluation(tmp_path / "a", entities(BASE), replicates={"map": 0.25 + luck})
    save_evaluation(tmp_path / "b", entities(MINE), replicates={"map": 0.3 + luck}, map=0.3)
    save_evaluation(tmp_path / "c", n_videos=7)
    return tmp_path


def result_of(finished):
    status, stdout, stderr = finished
    assert status == 0, stderr
    return json.loads(stdout.splitlines()[-1])


def refused(finished, folder, *words):
    status, stdout, stderr = finished
    assert (status, stdout) == (2, "")
    lines = [line for line in stderr.splitlines() if ": error: " in line]
    assert len(lines) == 1, stderr
    assert all(word in lines[0] for word in words), lines[0]
    assert "Traceback" not in stderr
    assert not (folder / "out").exists()
    assert not list(folder.glob(".out*"))


def test_folders_side_by_side(compare_runs, folders, tracking_uri):
    finished = compare_runs("--runs", "base=a,b", "--output", "out")
    result = result_of(finished)
    assert result["outputs"] == {
        "comparison": "out",
        "table": "out/comparison.csv",
        "text": "out/comparison.md",
        "page": "out/comparison.html",
        "entities": "out/per_entity.parquet",
    }
    assert result["metrics"]["b.map_difference"] == pytest.approx(0.05)
    assert "+5.00*" in finished[2]
    assert "2 / 0 / 1" in finished[2]
    rows = list(csv.DictReader((folders / "out/comparison.csv").open()))
    assert [row["run"] for row in rows] == ["base", "b"]
    table = pq.read_table(folders / "out/per_entity.parquet")
    assert np.array_equal(table["difference_b"].to_pylist(), [0.25, 0.25, -0.25])
    client = MlflowClient(tracking_uri)
    run = client.get_run(result["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    figures = {k: v for k, v in run.data.metrics.items() if not k.startswith("counters/")}
    assert figures == {"n_runs": 2}
    assert run.data.params["runs"] == "base=a,b"
    logged = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert logged == {Path(path).name for path in result["outputs"].values()} - {"out"}


def test_runs_of_an_experiment_children_and_folders_together(compare_runs, folders, tracking_uri):
    given = {"uri": tracking_uri, "experiment": "pipelines"}
    with tracked_run("pipeline", {}, **given) as parent:
        for name, figure in (("majority", 0.1), ("moe", 0.5), ("hinge", 0.4)):
            with tracked_run(name, {"loss": name}, parent_run_id=parent.run_id, **given) as child:
                child.log_metrics({**FIGURES, "map": figure})
                if name == "moe":
                    child.log_file(str(folders / "b"), None)
    result = result_of(compare_runs("--parent", parent.run_id, "--output", "out"))
    assert result["metrics"]["majority.map"] == 0.1
    assert result["metrics"]["hinge.map_difference"] == pytest.approx(0.3)  # to the first
    options = ("--experiment", "pipelines", "--best", 2, "--by", "map", "--overwrite")
    result = result_of(compare_runs("--runs", "a", *options, "--output", "out"))
    assert [key for key in result["metrics"] if key.endswith(".map")] == [
        "a.map", "moe.map", "hinge.map",
    ]  # fmt: skip
    both = ("--parent", parent.run_id, "--baseline", "moe", "--metrics", "map,perr")
    result = result_of(compare_runs(*both, *options, "--output", "out"))  # each run once
    assert result["metrics"]["n_runs"] == 3
    assert set(result["metrics"]) == {"n_runs"} | {
        f"{run}.{metric}{suffix}"
        for run in ("majority", "moe", "hinge")
        for metric in ("map", "perr")
        for suffix in (("",) if run == "moe" else ("", "_difference"))
    }


def test_other_videos_are_refused_unless_allowed(compare_runs, folders):
    arguments = ("--runs", "a,c", "--output", "out")
    refused(compare_runs(*arguments), folders, "n_videos is 7", "--allow-different-videos")
    finished = compare_runs(*arguments, "--allow-different-videos")
    result_of(finished)
    assert "NOT COMPARABLE" in finished[2]
    for name in ("comparison.md", "comparison.html"):
        assert "NOT COMPARABLE" in (folders / "out" / name).read_text()


def test_bad_input_is_one_line_and_leaves_nothing(compare_runs, folders, tracking_uri):
    def n_runs():
        client = MlflowClient(tracking_uri)
        experiments = client.search_experiments()
        return sum(len(client.search_runs([one.experiment_id])) for one in experiments)

    before = n_runs()
    for arguments, words in (
        ((), ("give --runs, --parent or --best",)),
        (("--best", "0"), ("best must be at least 1",)),
        (("--runs", "a"), ("at least two runs", "found 1")),
        (("--runs", f"a,{'0' * 32}"), ("no such run", "0" * 32)),
        (("--runs", "a,nowhere"), ("no such run", "nowhere")),
        (("--runs", "a,b", "--baseline", "x"), ("baseline is not among the runs", "a, b")),
        (("--runs", "a,b", "--metrics", "auc"), ("run 'a' has no metric 'auc'",)),
        (("--runs", "a,b", "--min-positives", "x"), ("--min-positives",)),
        (("--parent", "0" * 32), ("no such run",)),
        (("--best", "3", "--experiment", "nowhere"), ("no such experiment", "nowhere")),
    ):
        refused(compare_runs(*arguments, "--output", "out"), folders, *words)
    refused(compare_runs("--runs", "a,x=b", "--output", "b", "--overwrite"), folders, "own input")
    assert n_runs() == before


def test_a_dry_run_looks_whether_the_runs_are_there(compare_runs, folders):
    finished = compare_runs("--runs", "a,b=nowhere", "--output", "out", "--dry-run")
    refused(finished, folders, "no such run", "nowhere")


def test_it_starts_without_java(folders, tracking_uri):
    finished = subprocess.run(
        [sys.executable, str(JOB), "--runs", "a,b", "--output", "out"],
        cwd=folders,
        env={
            **os.environ,
            "MLFLOW_TRACKING_URI": tracking_uri,
            "JAVA_HOME": "/nowhere",
            "PATH": "/nowhere",
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert (folders / "out/comparison.html").exists()
