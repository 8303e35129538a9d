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


# Inner parts of PySpark, which differ from session to session and from release to release.
PRIVATE_MODULES = (
    *("pyspark.core", "pyspark.java_gateway", "pyspark.serializers", "pyspark.rdd"),
    *("pyspark.cloudpickle", "pyspark.sql.pandas", "pyspark.sql.connect", "pyspark.sql.classic"),
    *("pyspark.sql.utils", "pyspark.worker", "pyspark.daemon", "pyspark.shell", "py4j"),
)
PRIVATE_NAMES = {
    *("_jvm", "_jdf", "_jsc", "_sc", "_jsparkSession", "_jschema", "_jc", "_jconf", "_jmap"),
    *("_java_obj", "_gateway", "_active_spark_context", "_instantiatedSession", "_client"),
    *("_plan", "_jreader", "_jwrite", "_session", "_sparkSession", "_create_py_udf"),
}
# Their own objects use words of the list: what ONNX gives, and a job under way.
OWN_ATTRIBUTES = {"self"}


def private_uses(path):
    text = path.read_text()
    if "spark" not in text:
        return
    tree = ast.parse(text)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] in ("pyspark", "py4j") and (
            name.startswith(PRIVATE_MODULES) or any(part.startswith("_") for part in parts)
        ):
            yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in PRIVATE_NAMES:
            if ast.unparse(node.value) not in OWN_ATTRIBUTES:
                yield ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            named = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
            if named in PRIVATE_NAMES:
                yield ast.unparse(node)


def test_nothing_of_pyspark_is_used_that_is_private():
    places = (PACKAGE.rglob, (PROJECT / "jobs").glob, (PROJECT / "notebooks").glob)
    for path in (path for find in places for path in find("*.py")):
        assert list(private_uses(path)) == [], path


def test_what_is_private_is_found(tmp_path):
    source = """
from pyspark.sql.connect.session import SparkSession
from pyspark.sql import _typing
import pyspark.java_gateway
spark._jvm.java.lang.System.exit(1)
getattr(spark, "_jsparkSession", None)
self._client = None
"""
    (tmp_path / "a.py").write_text(source)
    assert set(private_uses(tmp_path / "a.py")) == {
        "pyspark.sql.connect.session.SparkSession",
        "pyspark.sql._typing",
        "pyspark.java_gateway",
        "spark._jvm",
        "getattr(spark, '_jsparkSession', None)",
    }


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
