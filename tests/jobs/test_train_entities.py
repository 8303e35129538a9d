"""Training by command line: what only its flags do. The line as a whole is in test_line.py."""

import json

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.artifacts import load_dict

N, D = 90, 8


@pytest.fixture
def features(tmp_path):
    """Features table in which entity e of three shows as feature e."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)).astype(np.float32)
    x[np.arange(N), np.arange(N) % 3] += 3
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    write(tmp_path / "features", x, [[i % 3] for i in range(N)])
    return x


def write(folder, x, labels):
    folder.mkdir()
    ids = pa.array([f"v{i:03d}" for i in range(len(x))])
    lists = pa.array(list(x), pa.list_(pa.float32()))
    columns = [ids, pa.array(labels, pa.list_(pa.int32())), lists]
    pq.write_table(pa.table(columns, ["video_id", "labels", "features"]), folder / "p.parquet")


def rows_of(model):
    return {row["entity"]: row for row in pq.read_table(model / "entities").to_pylist()}


def run(job, *flags, output="model"):
    finished = job("train_entities", "--input=features", f"--output={output}", *flags)
    assert finished.status == 0, finished.stderr
    return finished.result["metrics"]


def test_entities_are_added_later_and_the_others_are_left_alone(job, features, tmp_path):
    run(job, "--entities=0-1")
    metrics = run(job, "--entities=2", "--extends=model", output="more")
    assert metrics["n_entities"] == 3
    before, after = rows_of(tmp_path / "model"), rows_of(tmp_path / "more")
    assert sorted(after) == [0, 1, 2]
    assert (after[0], after[1]) == (before[0], before[1])
    finished = job("evaluate", "--model=more", "--input=features", "--output=evaluation")
    assert finished.result["metrics"]["hit_at_1"] > 0.9


def test_a_warm_start_begins_where_the_other_model_ended(job, features, tmp_path):
    run(job, "--epochs=20")
    run(job, "--epochs=1", "--initial-model=model", output="warm")
    run(job, "--epochs=1", output="cold")
    warm, cold = (rows_of(tmp_path / name)[0]["loss_history"] for name in ("warm", "cold"))
    assert warm[0] < cold[0]


def test_mlflow_holds_the_loss_of_each_pass_and_the_model(job, features, tracking_uri, tmp_path):
    finished = job(
        "train_entities", "--input=features", "--output=model", "--epochs=4", "--log-model"
    )
    assert finished.status == 0, finished.stderr
    client = mlflow.MlflowClient(tracking_uri)
    run_id = finished.result["mlflow_run_id"]
    curve = client.get_metric_history(run_id, "loss")
    assert [point.step for point in curve] == [1, 2, 3, 4]
    means = np.mean([row["loss_history"] for row in rows_of(tmp_path / "model").values()], axis=0)
    np.testing.assert_allclose([point.value for point in curve], means, rtol=1e-5)
    assert len(client.get_run(run_id).outputs.model_outputs) == 1
    during = client.get_metric_history(run_id, "running_loss")
    assert during[-1].step == 100
    assert during[-1].value == pytest.approx(curve[-1].value, rel=1e-6)
    assert client.get_run(run_id).data.metrics["entities_done"] == 3


def test_mlflow_is_told_what_was_read_and_with_what(job, features, tracking_uri, tmp_path):
    (tmp_path / "v.csv").write_text("Index,Name\n0,a\n1,b\n2,c\n")
    first = job("train_entities", "--input=features", "--output=model", "--vocabulary=v.csv")
    second = job("evaluate", "--model=model", "--input=features", "--output=evaluation")
    client = mlflow.MlflowClient(tracking_uri)
    ids = [finished.result["mlflow_run_id"] for finished in (first, second)]
    trained, evaluated = map(client.get_run, ids)
    found = [
        {data.tags[0].value: data.dataset for data in run.inputs.dataset_inputs}
        for run in (trained, evaluated)
    ]
    assert [sorted(run) for run in found] == [["training", "vocabulary"], ["evaluation", "model"]]
    table = found[0]["training"]
    assert table.digest == found[1]["evaluation"].digest
    assert json.loads(table.profile)["num_rows"] == N
    assert json.loads(table.source) == {"uri": str(tmp_path / "features")}
    environment = load_dict(f"{trained.info.artifact_uri}/environment.json")
    assert environment["numpy"] == np.__version__
    assert trained.data.tags["env.spark"] == environment["spark"]


def test_a_model_is_registered_on_request(job, features, tracking_uri):
    flags = ("--input=features", "--output=model", "--epochs=1", "--register=by job")
    finished = job("train_entities", *flags, "--alias=champion")
    assert finished.status == 0, finished.stderr
    client = mlflow.MlflowClient(tracking_uri)
    version = client.get_model_version_by_alias("by job", "champion")
    assert version.run_id == finished.result["mlflow_run_id"]


def test_a_store_that_fails_midway_costs_no_training(job, features, tmp_path, monkeypatch):
    def fail(*_arguments, **_named):
        raise mlflow.MlflowException("gone")

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", fail)
    finished = job("train_entities", "--input=features", "--output=model", "--log-model")
    monkeypatch.undo()
    assert finished.status == 0, finished.stderr
    assert len(rows_of(tmp_path / "model")) == 3
    folder = tmp_path / "mlflow_pending" / finished.result["mlflow_run_id"]
    assert f"python -m yt8m_spark.pending {folder}" in finished.stderr
    assert len((folder / "entries.jsonl").read_text().splitlines()) >= 5


def test_a_label_outside_the_vocabulary_is_told_before_anything_is_laid_out(
    job, features, tmp_path
):
    (tmp_path / "v.csv").write_text("Index,Name\n0,a\n1,b\n")
    finished = job("train_entities", "--input=features", "--output=model", "--vocabulary=v.csv")
    assert finished.status == 2
    assert "label is not in the vocabulary" in finished.error
    assert not (tmp_path / ".model.work").exists()


def test_a_feature_that_is_not_finite_is_told_with_its_video(job, tmp_path):
    x = np.ones((4, D), np.float32)
    x[2, 3] = np.nan
    write(tmp_path / "features", x, [[1]] * 4)
    finished = job("train_entities", "--input=features", "--output=model")
    assert finished.status == 2
    assert "v002" in finished.error
    assert not (tmp_path / "model").exists()


def test_entities_without_positives_are_counted_and_flagged(job, features, tmp_path):
    metrics = run(job, "--entities=0-4")
    assert (metrics["n_entities"], metrics["n_without_positives"]) == (5, 2)
    statuses = {e: row["status"] for e, row in rows_of(tmp_path / "model").items()}
    assert statuses == dict.fromkeys((0, 1, 2), "trained") | dict.fromkeys((3, 4), "no positives")
    described = json.loads((tmp_path / "model/model.json").read_text())
    assert described["n_without_positives"] == 2


def test_converged_entities_are_told_from_the_others(job, features, tmp_path):
    run(job, "--tolerance=0.5", "--epochs=9", "--learning-rate=0.01")
    statuses = {row["status"] for row in rows_of(tmp_path / "model").values()}
    assert statuses == {"converged"}
    assert all(len(row["loss_history"]) < 9 for row in rows_of(tmp_path / "model").values())


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--positive-weight=heavy", "positive_weight must be"),
        ("--negative-rate=0", "negative_rate must be"),
        ("--average=2", "average must be"),
        ("--checkpoint-seconds=0", "checkpoint_seconds must be"),
        ("--device=tpu", "expected one of auto, cpu, cuda"),
        ("--initial-model=nowhere", "nowhere"),
        ("--extends=nowhere", "nowhere"),
        ("--alias=champion", "needs register"),
        ("--register=a/b", "register must be"),
    ],
)
def test_nonsense_is_refused_in_one_line(job, features, tmp_path, flag, message):
    finished = job("train_entities", "--input=features", "--output=model", flag)
    assert finished.status == 2
    assert message in finished.error
    assert not (tmp_path / "model").exists()


def test_the_pipeline_trains_classifiers_of_frames(job, frame_shards, tmp_path):
    finished = job(
        "run_pipeline",
        f"--train={frame_shards}",
        f"--test={frame_shards}",
        "--output=results",
        "--recipes=logistic_frames,logistic_mean",
        "--n-frames=3",
        "--epochs=5",
    )
    assert finished.status == 0, finished.stderr
    rows = json.loads((tmp_path / "results/table.json").read_text())
    # A frame's bright feature tells its entity, so single frames do as well as their mean.
    assert rows["logistic_frames"]["hit_at_1"] > 0.95
    sampled = pq.read_table(tmp_path / "results/features/frames/train")
    assert sampled.num_rows == 60 * 3
    described = json.loads((tmp_path / "results/models/logistic_frames/model.json").read_text())
    assert described["frames"]["n_frames"] == 3


def test_recipes_of_frames_need_frames(job, video_shards, tmp_path):
    flags = (f"--train={video_shards}", f"--test={video_shards}", "--recipes=logistic_frames")
    finished = job("run_pipeline", *flags, "--output=results")
    assert finished.status == 2
    assert not (tmp_path / "results").exists()


def test_a_softmax_with_a_tolerance_is_refused_before_any_work(job):
    refused = job(
        *("train_entities", "--input=features", "--output=model"),
        *("--loss=softmax", "--tolerance=0.01"),
    )
    assert refused.status == 2
    assert "tolerance must be 0 for softmax" in refused.error
