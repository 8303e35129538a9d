"""Reading the folder of an evaluation, whole or in part. Evaluating is tested elsewhere."""

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.explorer.evaluation import no_evaluation, read_evaluation, tidy

PARTS = {
    "per_entity": [
        {"entity": 4, "name": "x", "verticals": ["y"], "n_positives": 7,
         "average_precision": 1 / 3, "best_f1": None, "loss": math.nan},
    ],
    "curves": [{"entity": 4, "thresholds": [0.5], "precision": [1 / 3], "recall": [1.0]}],
    "confusions": [
        {"entity": 4, "confused_with": 9, "n_videos": 2, "share": 2 / 7},
        {"entity": 4, "confused_with": 1, "n_videos": 1, "share": 1 / 7},
    ],
    "groups": [{"kind": "band", "name": "head", "n_entities": 1, "n_positives": 7, "map": 0.5}],
    "reliability": [{"bin": 0, "n_pairs": 3, "n_hits": 1, "mean_score": 0.125}],
}  # fmt: skip


def write(folder, *names):
    for name in names:
        pq.write_table(pa.Table.from_pylist(PARTS[name]), folder / f"{name}.parquet")
    return str(folder)


def test_a_whole_folder_is_read(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"map": 1 / 3, "loss": None, "n_videos": 9}))
    found = {"level": 0.95, "n_replicates": 10, "seed": 0, "intervals": {"map": [0.25, 0.5]}}
    (tmp_path / "intervals.json").write_text(json.dumps(found))
    read = read_evaluation(write(tmp_path, *PARTS))
    assert read.metrics == {"map": 0.333333, "n_videos": 9}
    assert read.intervals == {"level": 0.95, "n_replicates": 10, "intervals": {"map": [0.25, 0.5]}}
    assert read.per_entity == {4: {"n_positives": 7, "average_precision": 0.3333}}
    assert read.curves == {4: {"thresholds": [0.5], "precision": [0.333], "recall": [1.0]}}
    assert read.confusions == {4: [(9, 2, 0.2857), (1, 1, 0.1429)]}
    assert read.groups == PARTS["groups"]
    assert read.reliability == PARTS["reliability"]


@pytest.mark.parametrize("name", [name for name in PARTS if name != "metrics"])
def test_each_part_may_stand_alone(tmp_path, name):
    read = read_evaluation(write(tmp_path, name))
    assert getattr(read, name)
    assert read._replace(**{name: getattr(no_evaluation(), name)}) == no_evaluation()


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match=f"no evaluation here in {tmp_path}"):
        read_evaluation(str(tmp_path))


def test_a_missing_column_is_named(tmp_path):
    pq.write_table(pa.table({"entity": [1], "confused_with": [2]}), tmp_path / "confusions.parquet")
    with pytest.raises(InputError, match=r"no column 'n_videos' in .*confusions\.parquet"):
        read_evaluation(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("curves.parquet", "PAR1", "not a Parquet file"),
        ("metrics.json", '{"map": "high"}', "map is no number"),
        ("metrics.json", "[", "not a JSON file"),
        ("intervals.json", '{"level": 0.95}', "no intervals"),
        ("intervals.json", '{"level": 1, "n_replicates": 1, "intervals": {"map": 3}}', "no interv"),
    ],
)
def test_damaged_files_are_told_in_one_line(tmp_path, name, content, words):
    folder = write(tmp_path, "per_entity")
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words) as caught:
        read_evaluation(folder)
    assert name in str(caught.value)


def test_figures_are_tidied_to_significant_digits():
    assert tidy(0.000123456) == 0.0001235
    assert tidy(math.inf) is None
    assert tidy(3) == 3
    assert tidy("x") == "x"
