"""Evaluations read from folders. What is made of them is tested in test_comparison."""

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from comparison_files import FIGURES, entities, normal_replicates, save_evaluation
from numpy.testing import assert_array_equal

from yt8m_spark.comparison.runs import read_evaluation
from yt8m_spark.comparison.store import read_runs
from yt8m_spark.errors import InputError


def refused(folder, *words):
    with pytest.raises(InputError) as caught:
        read_evaluation(folder, "a", "a")
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_whole_folder(tmp_path):
    table = entities({7: 0.5, 3: 0.25}, band=["tail", "head"], verticals=[["Food"], None])
    replicates = {"map": normal_replicates(0.25, 0.01), "perr": normal_replicates(0.3, 0.01)}
    folder = save_evaluation(tmp_path / "e", table, seed=5, replicates=replicates)
    run = read_evaluation(folder, "mine", "e")
    assert (run.name, run.source) == ("mine", "e")
    assert run.metrics == {**FIGURES, "n_videos": 100}
    assert run.per_entity.to_pydict() == {
        "entity": [3, 7],
        "n_positives": [20, 20],
        "average_precision": [0.25, 0.5],
        "band": ["head", "tail"],
        "verticals": [None, ["Food"]],
    }
    assert run.bootstrap.plan == (5, 100, 200)
    assert run.bootstrap.videos is None
    assert run.interval("map") == (0.125, 0.875)
    assert run.interval("gap_at_20") is None
    assert_array_equal(run.bootstrap.replicates["perr"], replicates["perr"])


def test_a_bootstrap_has_the_digest_of_its_videos(tmp_path):
    folder = save_evaluation(tmp_path / "e", replicates={"map": [0.5] * 40})
    stored = json.loads((folder / "intervals.json").read_text())
    (folder / "intervals.json").write_text(json.dumps({**stored, "videos": "00ff"}))
    assert read_evaluation(folder, "a", "a").bootstrap.videos == "00ff"


def test_figures_alone_are_enough(tmp_path):
    run = read_evaluation(save_evaluation(tmp_path / "e", map=None), "a", "a")
    assert math.isnan(run.figure("map"))
    assert math.isnan(run.figure("absent"))
    assert run.per_entity is None
    assert run.bootstrap is None


def test_an_interval_that_could_not_be_taken_is_none(tmp_path):
    folder = save_evaluation(tmp_path / "e", replicates={"map": [0.5] * 40})
    stored = json.loads((folder / "intervals.json").read_text())
    for ends in ([None, None], [math.nan, math.nan]):
        (folder / "intervals.json").write_text(json.dumps({**stored, "intervals": {"map": ends}}))
        assert read_evaluation(folder, "a", "a").interval("map") is None


def test_damaged_folders_are_refused_in_one_line(tmp_path):
    refused(tmp_path, "no evaluation", "metrics.json")
    folder = save_evaluation(tmp_path / "e", entities({1: 0.5}), replicates={"map": [0.5] * 40})
    intervals = (folder / "intervals.json").read_text()
    for text in ("{}", '{"level": "x", "seed": 0, "n_groups": 1, "n_replicates": 1}', "[1]", "{"):
        (folder / "intervals.json").write_text(text)
        refused(folder, "intervals.json")
    (folder / "intervals.json").write_text(intervals)
    (folder / "replicates.parquet").write_bytes(b"PAR1 no more")
    refused(folder, "not a Parquet file", "replicates.parquet")
    (folder / "metrics.json").write_text(json.dumps({"map": "high"}))
    refused(folder, "'map' is no number", "metrics.json")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({"entity": [1], "n_positives": [2]}), ("missing", "average_precision")),
        (entities({1: 0.5}).slice(0, 0).drop_columns("entity"), ("missing", "entity")),
        (pa.concat_tables([entities({1: 0.5})] * 2), ("entity 1 comes twice",)),
        (entities({1: 0.5}, n_positives=[None]), ("no number of positives",)),
        (
            entities({1: 0.5}).set_column(2, "average_precision", pa.array([["a"]])),
            ("not a table of entities",),
        ),
    ],
)
def test_tables_that_are_not_of_entities_are_refused(tmp_path, table, words):
    folder = save_evaluation(tmp_path / "e")
    pq.write_table(table, folder / "per_entity.parquet")
    refused(folder, "per_entity.parquet", *words)


def test_folders_go_by_their_name_or_by_the_one_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/moe", "b/moe", "c/hinge", "date=1"):
        save_evaluation(tmp_path / name)
    names = [run.name for run in read_runs(["a/moe", "c/hinge", "mine = b/moe", "date=1"])]
    assert names == ["moe", "hinge", "mine", "date=1"]
    assert [run.name for run in read_runs(["a/moe", "b/moe"])] == ["moe (a/moe)", "moe (b/moe)"]
    assert [run.name for run in read_runs(["m\udcff=a/moe"])] == ["m?"]
    for specs in (["x=a/moe", "x=b/moe"], ["a/moe", "a/moe"]):
        with pytest.raises(InputError, match="two runs have one name"):
            read_runs(specs)
    assert not list(tmp_path.glob("mlflow*")), "MLflow was not needed"
