"""The job evaluate: what it reads, writes and refuses. Its figures are tested in tests/spark."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from model_files import write_model

from yt8m_spark.spark.schemas import FEATURES, PREDICTIONS, arrow_schema

TABLES = {"per_entity", "groups", "curves", "confusions", "reliability"}


def write_table(folder, rows, schema):
    folder.mkdir()
    columns = [list(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(columns, schema=arrow_schema(schema)), folder / "part.parquet")


@pytest.fixture
def tables(tmp_path):
    """Predictions of ten videos, entity i % 3 best; features, labelled with it; a vocabulary."""
    rows = [(f"v{i}", [], [i % 3, 3], [0.9, 0.2 + i / 100]) for i in range(10)]
    write_table(tmp_path / "predictions", rows, PREDICTIONS)
    truth = [(f"v{i}", [i % 3], [float(j == i % 3) for j in range(3)]) for i in range(10)]
    write_table(tmp_path / "features", truth, FEATURES)
    names = "Index,Name,Vertical1\n0,zero,A\n1,one,B\n2,two,A\n3,three,B\n"
    (tmp_path / "vocabulary.csv").write_text(names)
    return tmp_path


def test_predictions_beside_a_truth_with_intervals(job, tables, tracking_uri):
    arguments = ("--predictions=predictions", "--input=features", "--vocabulary=vocabulary.csv")
    asked = ("--hit-at=2,5", "--bootstrap=40", "--bootstrap-seed=7", "--output=out")
    made = job("evaluate", *arguments, *asked)
    assert made.status == 0, made.stderr
    metrics = json.loads((tables / "out/metrics.json").read_text())
    assert (metrics["hit_at_1"], metrics["hit_at_2"], metrics["n_videos"]) == (1, 1, 10)
    intervals = json.loads((tables / "out/intervals.json").read_text())
    assert (intervals["n_replicates"], intervals["seed"]) == (40, 7)
    assert intervals["intervals"].keys() <= metrics.keys()
    found = {path.stem for path in (tables / "out").glob("*.parquet")}
    assert found == TABLES | {"replicates"}
    assert pq.read_table(tables / "out/per_entity.parquet")["name"].to_pylist() == [
        "zero",
        "one",
        "two",
    ]
    client = MlflowClient(tracking_uri)
    run_id = made.result["mlflow_run_id"]
    logged = {file.path for file in client.list_artifacts(run_id, "evaluation")}
    assert {f"evaluation/{name}.parquet" for name in TABLES} <= logged
    assert {"evaluation/metrics.json", "evaluation/intervals.json", "evaluation/plots"} <= logged
    assert client.get_run(run_id).data.metrics["hit_at_2"] == 1


def test_a_model_of_some_entities_is_told_of(job, tables):
    weights = 10 * pa.array([1.0, 0, 0, 0, 1, 0]).to_numpy().reshape(1, 2, 3)
    write_model(tables / "model", weights, 0 * weights[:, :, 0], [0, 1])
    made = job("evaluate", "--model=model", "--input=features", "--output=out")
    assert made.status == 0, made.stderr
    assert "1 of 3 entities that label a video are predicted for none" in made.stderr
    # 7 of 10 videos are of entities that it knows.
    assert made.result["metrics"]["hit_at_1"] == 7 / 10
    alone = job("evaluate", "--model=model", "--input=features", "--entities=0,1", "--output=o2")
    assert "predicted for none" not in alone.stderr
    assert alone.result["metrics"]["hit_at_1"] == 1


def test_a_submission_is_evaluated_by_the_labels_of_a_table(job, tables):
    lines = [f"v{i},{i % 3} 0.9 3 0.2" for i in range(9)]
    (tables / "best.csv").write_text("\n".join(["VideoId,LabelConfidencePairs", *lines]) + "\n")
    arguments = ("--predictions=best.csv", "--input=features", "--output=out")
    refused = job("evaluate", *arguments)
    assert refused.status == 2
    assert "1 ('v9')" in refused.error
    made = job("evaluate", *arguments, "--unmatched=ignore")
    assert made.status == 0, made.stderr
    metrics = made.result["metrics"]
    assert (metrics["hit_at_1"], metrics["n_videos"]) == (9 / 10, 10)
    assert metrics["n_videos_without_predictions"] == 1
    assert metrics["n_predictions_without_truth"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--predictions=p.csv",), "a submission has no labels: give them as --input"),
        (("--predictions=predictions", "--hit-at=0"), "hit_at must be numbers of at least 1"),
        (("--predictions=predictions", "--hit-at=1,x"), "hit_at must be whole numbers, got 1,x"),
        (
            ("--predictions=predictions", "--bootstrap=39"),
            "n_replicates must be 0 (none) or at least",
        ),
        (("--predictions=predictions", "--calibration=c"), "--calibration is of scores of --model"),
        (("--model=predictions",), "--model and --input go together"),
        (("--input=features",), "give either --model and --input, or --predictions"),
        (
            ("--predictions=predictions", "--input=features", "--vocabulary=few.csv"),
            "entity 2 is not in the vocabulary in",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(job, tables, arguments, message):
    (tables / "few.csv").write_text("Index,Name\n0,a\n1,b\n3,c\n")
    finished = job("evaluate", *arguments, "--output=out")
    assert finished.status == 2
    assert message in finished.error
    assert not (tables / "out").exists()
