"""The search as a job: flags, files, figures, MLflow. What it finds is tested in tests/spark."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

N_FEATURES = 8
SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("labels", pa.list_(pa.int32())),
        ("features", pa.list_(pa.float32())),
    ]
)


def write_features(folder, n, seed, width=N_FEATURES, labels=(0, 1), whitening=None):
    """A features table: entity 0 is plain, entity 1 noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).astype(np.float32)
    hits = np.column_stack([x[:, 0] > 0.3, rng.random(n) < 0.3])
    named = [np.flatnonzero(row)[: len(labels)].tolist() for row in hits]
    rows = {
        "video_id": [f"v{i}" for i in range(n)],
        "labels": [[labels[e] for e in row if e < len(labels)] for row in named],
        "features": x.tolist(),
    }
    folder.mkdir()
    pq.write_table(pa.table(rows, schema=SCHEMA), folder / "part-0.parquet")
    if whitening is not None:
        mark = {"digest": whitening, "columns": ["mean_rgb"]}
        (folder / "_whitening.json").write_text(json.dumps(mark))


@pytest.fixture
def tables(tmp_path):
    write_features(tmp_path / "train", 90, seed=0, whitening="a" * 64)
    write_features(tmp_path / "validate", 70, seed=1, whitening="a" * 64)
    return ("--input", "train", "--validate", "validate", "--output", "model", "--epochs=2")


def test_a_search_leaves_a_model_its_figures_and_nested_runs(job, tables, tmp_path, tracking_uri):
    lists = ("--learning-rates=0.1,1", "--l2s=0", "--experts=1,2", "--choose=entity")
    made = job("search_entities", *tables, "--loss=moe", *lists)
    assert made.status == 0, made.stderr
    assert made.result["outputs"] == {"model": "model"}
    figures = made.result["metrics"]
    assert (figures["n_settings"], figures["n_entities"], figures["n_videos"]) == (4, 2, 90)
    assert figures["n_validation_videos"] == 70
    model = tmp_path / "model"
    assert (model / "search.png").read_bytes().startswith(b"\x89PNG")
    rows = pq.read_table(model / "search.parquet")
    assert rows.num_rows == 2 * 4
    assert sum(rows["chosen"].to_pylist()) == 2
    described = json.loads((model / "search.json").read_text())
    assert len(described["settings"]) == 4
    assert described["choose"] == "entity"
    named = json.loads((model / "model.json").read_text())
    assert (named["whitening"], named["search"]["metric"]) == ("a" * 64, "map")
    assert not list(tmp_path.glob(".*")), "nothing is left beside the outputs"

    # The model is one like any other, and its figure the one that evaluate gives.
    scored = job("evaluate", "--model=model", "--input=validate", "--output=evaluation")
    assert scored.status == 0, scored.stderr
    assert scored.result["metrics"]["map"] == pytest.approx(figures["validation_map"], abs=1e-3)

    client = MlflowClient(tracking_uri)
    parent = client.get_run(made.result["mlflow_run_id"])
    assert parent.data.params["learning_rates"] == "0.1,1"
    nested = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    children = client.search_runs([parent.info.experiment_id], nested)
    assert {child.info.run_name for child in children} == {
        "rate 0.1, H 1", "rate 0.1, H 2", "rate 1, H 1", "rate 1, H 2",
    }  # fmt: skip
    found = {child.data.metrics["validation_map"] for child in children}
    assert figures["overall_validation_map"] == max(found)
    assert sum(child.data.metrics["n_entities"] for child in children) == 2
    assert {child.data.params["n_experts"] for child in children} == {"1", "2"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--learning-rates=",), "learning_rates must name at least one value"),
        (("--learning-rates=0.1,fast",), "learning_rates must be numbers, got '0.1,fast'"),
        (("--learning-rates=0.1,0.10",), "learning_rates must differ"),
        (("--learning-rates=0,1",), "learning_rate must be above 0"),
        (("--l2s=-1",), "l2 must be at least 0"),
        (("--batch-sizes=8.5",), "batch_sizes must be whole numbers"),
        (("--experts=1,2",), "experts are of loss moe alone, got loss logistic"),
        (("--loss=moe", "--experts=0"), "experts must be at least 1, got 0"),
        (("--n-random=0",), "n_random must be at least 1"),
        (("--learning-rates=1", "--n-random=3"), "only 1 different settings"),
        (("--choose=best",), "expected one of entity, overall"),
        (("--learning-rate=1",), "unrecognized arguments: --learning-rate=1"),
    ],
)
def test_options_that_make_no_search_are_refused(job, tables, options, message):
    ended = job("search_entities", *tables, *options)
    assert ended.status == 2
    assert message in ended.error


def test_tables_that_do_not_go_together_are_refused(job, tables, tmp_path):
    write_features(tmp_path / "other", 5, seed=2, whitening="b" * 64)
    write_features(tmp_path / "strangers", 20, seed=2, labels=(7, 8))
    write_features(tmp_path / "none", 20, seed=2, labels=())
    cases = {
        "other": "another whitening than those to learn from in other, expected digest aaaaaaaaa",
        "strangers": "no validation video has a label of the entities to train",
        "none": "no validation video has a label in none",
    }
    for folder, message in cases.items():
        ended = job("search_entities", *tables, "--validate", folder)
        assert ended.status == 2, ended.stderr
        assert message in ended.error
        assert not (tmp_path / "model").exists()
    assert not list(tmp_path.glob(".*")), "nothing is left"
