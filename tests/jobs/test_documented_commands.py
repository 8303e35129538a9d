"""Every command of README.md and docs/ runs, on small data under the names that the page gives.

All of them with ``make documented``, which sets YT8M_DOCUMENTED; else those of the tutorial run and
options of the others are read. What the jobs make of their data is tested beside this file.
"""

import os
import re

import documented_worlds as worlds
import pytest
from documented import PAGES, PROJECT, commands_of
from job_configs import config_type_of

from yt8m_spark.config import load_config

WORLDS = {
    "README.md": [
        worlds.the_release,
        worlds.a_knowledge_graph,
        worlds.videos_and_networks,
        worlds.another_dataset,
    ],
    "docs/connect.md": [worlds.features],
    "docs/dataset.md": [worlds.a_knowledge_graph, worlds.features, worlds.a_vocabulary],
    "docs/deep.md": [worlds.the_release],
    "docs/encodings.md": [worlds.a_wide_release, worlds.audioset],
    "docs/evaluation.md": [worlds.features, worlds.a_model, worlds.two_evaluations],
    "docs/extraction.md": [worlds.videos_and_networks],
    "docs/install.md": [],
    "docs/shards.md": [worlds.the_release],
    "docs/stacking.md": [worlds.features],
    "docs/training.md": [worlds.features],
    "docs/transfer.md": [worlds.another_dataset, worlds.a_network],
    "docs/tutorial.md": [worlds.a_demo],
    "docs/vocabulary.md": [worlds.a_knowledge_graph],
}

# Commands that are no job, and where they are run.
ELSEWHERE = {
    r"make (test|check)": "this is it",
    r"make connect": "the tests themselves, in another mode",
    r"export SPARK_REMOTE=.*": "tests/jobs/test_pipeline_on_connect.py",
    r".* spark-submit .*SparkConnectServer .*": "tests/connect_server.py",
    r"make environment": "tests/packaging",
    r"spark-class org\.apache\.spark\.deploy\.(master|worker)\..*": "tests/cluster starts them so",
    r"yt8m-spark --help": "tests/packaging",
    r"PYSPARK_PYTHON=\S+ yt8m-spark --master .*": "tests/cluster, on a cluster of this machine",
    r"python (-m build --wheel|databricks/build_wheel\.py)": "tests/packaging",
    r"python -m yt8m_spark\.notebook notebooks/.*": "tests/notebooks",
    r"databricks \w+ .*": "nowhere: tests/notebooks reads the bundle and runs its job",
    r"make demo": "the jobs of it: tests/packaging, the tutorial",
    r"source \.venv/bin/activate": "a shell's own",
    r"pip (install|wheel) .*": "tests/packaging",
    r"torchrun .*worker\.py .*": "tests/deep/test_worker.py",
    r"mlflow (ui|models serve) .*": "tests/test_pyfunc.py loads the model that is served",
    r"curl .*": "as above",
    r"python benchmarks/.*": "make bench",
}


# Minutes for all of them.
RUN = list(WORLDS) if "YT8M_DOCUMENTED" in os.environ else ["docs/tutorial.md"]


@pytest.mark.parametrize("page", RUN)
def test_every_job_of_a_page_runs_as_it_stands_there(page, job, tmp_path):
    worlds.a_checkout(job, tmp_path)
    stand_for = {}
    for make in WORLDS[page]:
        stand_for |= make(job, tmp_path) or {}
    for command in commands_of(page):
        if command.job is not None:
            name, arguments = command.job
            words = [stand_in(word, stand_for) for word in arguments]
            finished = job(name, *words)
            assert finished.status == 0, f"{page}:{command.line}: {finished.stderr}"


def stand_in(word, stand_for):
    """``word`` with the ids of runs that a page makes up replaced by those of real ones."""
    for made_up, real in stand_for.items():
        word = word.replace(made_up, real)
    return word


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_command_that_nothing_runs(page):
    for command in commands_of(page):
        if command.job is None:
            told = any(re.fullmatch(pattern, command.text) for pattern in ELSEWHERE)
            assert told, f"{page}:{command.line}: {command.text}"
        else:
            assert page in WORLDS, f"{page}:{command.line}: {command.text}"


@pytest.mark.parametrize("page", PAGES)
def test_every_option_of_a_page_is_one_of_the_job(page, monkeypatch):
    monkeypatch.chdir(PROJECT)  # where conf/ is
    for command in commands_of(page):
        if command.job is not None:
            name, arguments = command.job
            load_config(config_type_of(name), arguments, job=name)
