"""A real ``mlflow server`` on loopback: jobs over HTTP, its death midway, a model served, pages.

What is logged is tested in detail, on SQLite, in test_tracking.py, test_pending.py, test_pyfunc.py.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow_server import model_server, tracking_server

from yt8m_spark.core.scoring import top_k_videos
from yt8m_spark.scorer import load_scorer
from yt8m_spark.tracking import tracked_run

pytestmark = pytest.mark.slow

JOBS = Path(__file__).parents[1] / "jobs"
N, D = 90, 8


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all tests here: starting it takes ten seconds."""
    server = tracking_server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def client(server):
    return MlflowClient(server.url)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Features table in which entity e of three shows as feature e."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)).astype(np.float32)
    x[np.arange(N), np.arange(N) % 3] += 3
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    folder = tmp_path_factory.mktemp("table") / "features"
    folder.mkdir()
    labels = pa.array([[i % 3] for i in range(N)], pa.list_(pa.int32()))
    ids = pa.array([f"v{i:03d}" for i in range(N)])
    columns = {"video_id": ids, "labels": labels, "features": pa.array(list(x))}
    pq.write_table(pa.table(columns), folder / "p.parquet")
    return folder, x


@pytest.fixture(scope="module")
def trained(server, features, tmp_path_factory):
    """A training over HTTP, as a user runs it: its result, its folder."""
    folder = tmp_path_factory.mktemp("job")
    return run_job(folder, server.url, features[0]), folder


def run_job(folder, url, features, *flags):
    """Run jobs/train_entities.py as a user does; its JSON line."""
    job = start_job(folder, url, features, *flags)
    stdout, stderr = job.communicate(timeout=300)
    assert job.returncode == 0, stderr
    return json.loads(stdout.splitlines()[-1])


def start_job(folder, url, features, *flags):
    """Start jobs/train_entities.py as a user does."""
    command = [sys.executable, JOBS / "train_entities.py", f"--input={features}", "--output=model"]
    command += ["--epochs=4", f"--tracking-uri={url}", "--register=tagger", "--alias=champion"]
    return subprocess.Popen(
        [*map(str, command), *flags],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "YT8M_SPARK_LOG": "text"},
    )


def test_a_training_is_logged_over_http_whole(trained, features, server, client):
    result, _ = trained
    run = client.get_run(result["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == "4"
    assert run.data.tags["env.python"] == sys.version.split()[0]
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name.endswith("/features")
    assert json.loads(data.dataset.profile)["num_rows"] == N
    assert json.loads(data.dataset.source) == {"uri": str(features[0])}
    assert [tag.value for tag in data.tags] == ["training"]
    curve = client.get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in curve] == [1, 2, 3, 4]
    during = client.get_metric_history(run.info.run_id, "running_loss")
    assert during[-1].step == 100
    assert during[-1].value == pytest.approx(curve[-1].value, rel=1e-6)
    names = [artifact.path for artifact in client.list_artifacts(run.info.run_id)]
    assert "environment.json" in names
    version = client.get_model_version_by_alias("tagger", "champion")
    assert version.run_id == run.info.run_id


def test_the_registered_model_is_served_over_http(trained, features, server, tmp_path):
    served = model_server("models:/tagger@champion", tmp_path, server.url)
    try:
        rows = [[float(value) for value in row] for row in features[1][:5]]
        body = {"dataframe_split": {"columns": ["features"], "data": [[row] for row in rows]}}
        answer = post(f"{served.url}/invocations", body | {"params": {"top_k": 2}})
        records = post(f"{served.url}/invocations", {"dataframe_records": [{"features": rows[0]}]})
    finally:
        served.stop()
    scorer = load_scorer(str(trained[1] / "model"))
    entities, scores = top_k_videos(scorer, features[1][:5], 2)
    found = answer["predictions"]
    assert [row["entities"] for row in found] == entities.tolist()
    np.testing.assert_allclose([row["scores"] for row in found], scores, rtol=1e-6)
    assert records["predictions"][0]["entities"][:2] == entities[0].tolist()


def test_a_server_that_dies_in_mid_run_gets_it_all_when_it_is_back(
    server, client, tmp_path, capsys
):
    options = {"uri": server.url, "experiment": "dies"}
    with tracked_run("train", {"seed": "0"}, pending=str(tmp_path / "kept"), **options) as run:
        run.log_metrics({"loss": 1.0}, step=0)
        server.stop()
        started = time.monotonic()
        for step in range(1, 200):
            run.log_metrics({"loss": 1.0 / step}, step=step)
        with tracked_run("child", {"k": "v"}, parent_run_id=run.run_id, **options) as child:
            child.log_text("kept", "notes/note.txt")
        assert time.monotonic() - started < 20  # MLflow's own tries would take hours
        server.start()
    points = client.get_metric_history(run.run_id, "loss")
    assert [(point.step, point.value) for point in points] == [
        (step, 1.0 / max(1, step)) for step in range(200)
    ]
    assert client.get_run(run.run_id).info.status == "FINISHED"
    made = client.get_run(child.run_id)
    assert made.data.params == {"k": "v"}
    assert made.data.tags["mlflow.parentRunId"] == run.run_id
    assert [file.path for file in client.list_artifacts(child.run_id, "notes")] == [
        "notes/note.txt"
    ]
    assert not (tmp_path / "kept").exists()
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("MLflow at")]
    assert len(told) == 2
    assert "does not answer" in told[0]
    assert "Connection" in told[0]  # refused, or reset if the server died with it in hand


def test_a_job_whose_server_dies_ends_well_and_is_sent_later(server, client, features, tmp_path):
    job = start_job(tmp_path, server.url, features[0], "--experiment=dies", "--epochs=40")
    experiment, running = client.get_experiment_by_name("dies").experiment_id, []
    while not running and job.poll() is None:
        running = client.search_runs([experiment], "attributes.status = 'RUNNING'")
        time.sleep(0.1)
    server.stop()
    stdout, stderr = job.communicate(timeout=300)
    assert job.returncode == 0, stderr
    result = json.loads(stdout.splitlines()[-1])
    assert load_scorer(str(tmp_path / "model")).entities.tolist() == [0, 1, 2]
    lines = [line for line in stderr.splitlines() if "python -m yt8m_spark.pending " in line]
    (line,) = lines
    folder = line.rpartition(" ")[2]
    assert folder == f"{tmp_path}/mlflow_pending/{result['mlflow_run_id']}"
    server.start()
    for _ in range(2):
        send = [sys.executable, "-m", "yt8m_spark.pending", folder]
        subprocess.run(send, cwd=JOBS.parent, check=True, capture_output=True, timeout=120)
    run = client.get_run(result["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["n_entities"] == 3
    curve = client.get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in curve] == list(range(1, 41))
    assert len(run.outputs.model_outputs) == 1
    versions = client.search_model_versions("name = 'tagger'")
    assert [version.run_id for version in versions].count(run.info.run_id) == 1


def test_a_server_that_is_not_there_at_the_start_is_one_line(features, tmp_path):
    job = start_job(tmp_path, "http://127.0.0.1:9", features[0])
    _, stderr = job.communicate(timeout=120)
    assert job.returncode == 2
    errors = [line for line in stderr.splitlines() if ": error: " in line]
    assert len(errors) == 1
    assert errors[0].endswith("in http://127.0.0.1:9, found Connection refused")
    assert not (tmp_path / "model").exists()


def post(url, body):
    request = urllib.request.Request(  # noqa: S310
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.loads(answer.read())


def test_pages_show_runs_side_by_side_and_nested(server, client, browser, tmp_path):
    uri, ids, kept = server.url, [], str(tmp_path / "kept")
    with tracked_run(
        "pipeline", {"seed": "0"}, uri=uri, experiment="pages", pending=kept
    ) as parent:
        for name, value in [("logistic_mean", 0.4321), ("moe_mean", 0.5678)]:
            with tracked_run(
                name, {"recipe": name}, uri=uri, experiment="pages", parent_run_id=parent.run_id
            ) as child:
                child.log_metrics({"map": value})
                child.log_curve("loss", [0.5, 0.25, value / 4])
                ids.append(child.run_id)
    experiment = client.get_experiment_by_name("pages").experiment_id
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    try:
        runs = "%5B" + "%2C".join(f"%22{run_id}%22" for run_id in ids) + "%5D"
        page.goto(f"{uri}/#/compare-runs?runs={runs}&experiments=%5B%22{experiment}%22%5D")
        for text in ("logistic_mean", "moe_mean", "0.432", "0.568", "map"):
            page.get_by_text(text).first.wait_for(timeout=40_000)
        page.screenshot(path=str(tmp_path / "compare.png"), full_page=True)
        page.goto(f"{uri}/#/experiments/{experiment}/runs/{parent.run_id}")
        page.get_by_text("Child runs", exact=True).wait_for(timeout=40_000)
        for name in ("logistic_mean", "moe_mean"):
            page.get_by_role("link", name=name).wait_for(timeout=40_000)
        page.goto(f"{uri}/#/experiments/{experiment}/runs")
        page.get_by_role("link", name="pipeline").wait_for(timeout=40_000)
        assert not page.get_by_role("link", name="moe_mean").count()  # folded under their parent
        page.locator("[role=gridcell] button").first.click()
        for name in ("logistic_mean", "moe_mean"):
            page.get_by_role("link", name=name).wait_for(timeout=40_000)
        page.screenshot(path=str(tmp_path / "runs.png"), full_page=True)
    finally:
        page.close()
