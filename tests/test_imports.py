"""The import direction of CONTRIBUTING.md, checked. What the modules do is tested elsewhere."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "yt8m_spark"
MAY_IMPORT = {  # package: its own siblings, other packages of ours, heavy libraries
    "core": {"core", "numpy", "scipy"},
    "formats": {"formats", "numpy"},
    "spark": {"spark", "core", "formats", "video", "numpy", "pyarrow", "pandas", "pyspark"},
    "video": {"video", "core", "formats", "numpy", "av", "onnxruntime", "torch"},
    "deep": {"deep", "core", "formats", "numpy", "pyarrow", "torch", "pyspark"},
}
GUARDED = set().union(*MAY_IMPORT.values()) | {"config", "session", "tracking", "mlflow", "jobs"}
FORBIDDEN = ("pickle", "cPickle", "dill", "cloudpickle")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package):
    for path in (PACKAGE / package).glob("*.py"):
        tops = {name.removeprefix("yt8m_spark.").split(".")[0] for name in imports(path)}
        assert tops & GUARDED <= MAY_IMPORT[package], path


def test_of_the_networks_only_the_launcher_sees_spark():
    seen = {
        path.name
        for path in (PACKAGE / "deep").glob("*.py")
        if any(name.split(".")[0] == "pyspark" for name in imports(path))
    }
    assert seen == {"launch.py"}


def test_no_job_imports_another_job():
    for path in (PROJECT / "jobs").glob("*.py"):
        assert not any(name.split(".")[0] == "jobs" for name in imports(path)), path


def test_nothing_is_pickled_and_no_rdd_is_used():
    for path in [*PACKAGE.rglob("*.py"), *(PROJECT / "jobs").glob("*.py")]:
        assert not {name.split(".")[0] for name in imports(path)} & set(FORBIDDEN), path
        attributes = {
            n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)
        }
        assert not attributes & {"rdd", "sparkContext", "broadcast"}, path


def test_importing_the_package_imports_nothing_heavy():
    heavy = "{'numpy', 'pyspark', 'mlflow', 'scipy', 'pyarrow', 'pandas'}"
    code = f"import sys, yt8m_spark; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_extraction_on_spark_sees_videos():
    seen = {
        path.name
        for path in (PACKAGE / "spark").glob("*.py")
        if any(name.startswith("yt8m_spark.video") for name in imports(path))
    }
    assert seen == {"extraction.py"}
