"""Label noise by command line. What the losses do is tested in tests/core and tests/spark."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FLAGS = ("--input=features", "--output=model", "--epochs=2")


@pytest.fixture
def features(tmp_path):
    """Features table in which entity e of two shows as feature e."""
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    labels = [[e for e in (0, 1) if row[e] > 0.8] for row in x]
    columns = [
        pa.array([f"v{i:03d}" for i in range(len(x))]),
        pa.array(labels, pa.list_(pa.int32())),
        pa.array(list(x), pa.list_(pa.float32())),
    ]
    (tmp_path / "features").mkdir()
    table = pa.table(columns, ["video_id", "labels", "features"])
    pq.write_table(table, tmp_path / "features" / "p.parquet")


def test_missing_labels_of_each_entity_are_made_up_for(job, features, tmp_path):
    (tmp_path / "rates.csv").write_text("entity,recall,precision\n0,0.25,1\n1,1,1\n")
    rates = ("--label-recall=rates.csv", "--label-precision=rates.csv")
    assert job("train_entities", *FLAGS, "--positive-weight=1").status == 0
    plain = bias_of(tmp_path)
    noisy = ("--label-noise=missing", *rates, "--positive-weight=1", "--overwrite")
    finished = job("train_entities", *FLAGS, *noisy)
    assert finished.status == 0, finished.stderr
    found = bias_of(tmp_path)
    # Of the first entity three of four labels are lost: it is said to be more frequent.
    assert found[0] > plain[0] + 0.5
    assert abs(found[1] - plain[1]) < 1e-4
    described = json.loads((tmp_path / "model" / "model.json").read_text())
    assert described["label_recall"] == "rates.csv"
    assert described["options"]["label_noise"] == "missing"


def bias_of(tmp_path):
    rows = pq.read_table(tmp_path / "model" / "entities").to_pylist()
    return [row["bias"][0] for row in sorted(rows, key=lambda row: row["entity"])]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--loss=hinge", "--label-noise=missing"), "a hinge gives no probability"),
        (("--label-noise=half",), "none, bootstrap_soft, bootstrap_hard, missing, found half"),
        (("--label-recall=0.5",), "label_recall is of label_noise missing alone"),
        (("--label-noise=missing", "--label-recall=none.csv"), "cannot read the recall of labels"),
    ],
)
def test_label_noise_that_cannot_be_is_refused_in_one_line(job, features, tmp_path, flags, told):
    finished = job("train_entities", *FLAGS, *flags)
    assert finished.status == 2
    assert told in finished.error
    assert not (tmp_path / "model").exists()
