"""Evaluation on Spark Connect and classic: the same. Figures are tested in test_evaluation."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import evaluation_scenario as scenario
import pyarrow as pa
import pytest

from yt8m_spark.spark.evaluation_local import evaluate_table
from yt8m_spark.spark.schemas import PREDICTIONS, arrow_schema


def expected():
    columns = [list(column) for column in zip(*scenario.rows(), strict=True)]
    table = pa.table(columns, schema=arrow_schema(PREDICTIONS))
    return evaluate_table(table, scenario.OPTIONS)


def check(found):
    in_memory = expected()
    assert found["metrics"] == pytest.approx(in_memory.metrics, rel=1e-12)
    for name, interval in in_memory.intervals["intervals"].items():
        assert found["intervals"][name] == pytest.approx(interval, rel=1e-9)
    assert found["n_confusions"] == in_memory.confusions.num_rows
    labelled = [g for _, g, _, _ in scenario.rows() if g]
    assert found["prior_hit_at_1"] == sum(10 in g for g in labelled) / len(labelled)


def test_a_classic_session_gives_what_memory_gives(spark):
    check(scenario.run(spark))


@pytest.mark.slow
@pytest.mark.classic("starts a Connect server of its own, to compare with classic Spark")
def test_spark_connect_gives_what_memory_gives(tmp_path):
    # A classic and a Connect session cannot live in one process.
    finished = subprocess.run(
        [sys.executable, str(Path(scenario.__file__))],
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    check(ast.literal_eval(finished.stdout.splitlines()[-1]))
