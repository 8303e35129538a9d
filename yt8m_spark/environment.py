"""With what a run was made: Python, packages, Spark, Java, machine, and the commit of the code."""

from __future__ import annotations

import getpass
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pyspark.sql import SparkSession

from yt8m_spark import __version__
from yt8m_spark.masking import masked

__all__ = ["describe_environment", "environment_tags"]

# What has a say in the figures of a run.
_PACKAGES = (
    "pyspark",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "mlflow",
    "google-crc32c",
    "torch",
    "fsspec",
)
_UNKNOWN = "unknown"
_SECONDS = 5  # for git


def describe_environment(spark: SparkSession) -> dict[str, str]:
    """Versions and machine by name; a package that is not there is left out."""
    described = {
        "yt8m_spark": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "spark": spark.version,
        "spark_master": masked(_setting(spark, "spark.master")),
        "java": _java(spark),
    }
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            described[name] = version(name)
    return described | _commit()


def environment_tags(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of `describe_environment` that people filter runs by, as tags.

    Those with a name of MLflow's own are shown by its pages: commit and user.
    """
    names = ("yt8m_spark", "python", "spark", "java", "platform")
    tags = {f"env.{name}": environment[name] for name in names}
    if "git_commit" in environment:
        tags["mlflow.source.git.commit"] = environment["git_commit"]
    with suppress(OSError, KeyError, ImportError):  # a container without users
        tags["mlflow.user"] = getpass.getuser()
    return tags | {"mlflow.source.type": "JOB"}


def _setting(spark: SparkSession, name: str) -> str:
    try:
        return str(spark.conf.get(name, _UNKNOWN))
    except Exception:
        return _UNKNOWN  # a server that keeps it to itself


@lru_cache(maxsize=1)  # a query that a pipeline would run for each of its jobs
def _java(spark: SparkSession) -> str:
    """Version of Spark's Java, asked by SQL: that way is open on every kind of session."""
    question = "SELECT java_method('java.lang.System', 'getProperty', 'java.version')"
    try:
        return str(spark.sql(question).first()[0])  # type: ignore[index]
    except Exception:
        return _UNKNOWN  # not allowed on some servers


def _commit() -> dict[str, str]:
    """Commit of the code, if it is a checkout, and whether files in it were changed since."""
    # Asked for a file of ours: an environment may lie in a checkout of something else.
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return {}
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno", ".")
    if not commit:
        return {}
    return {"git_commit": commit, "git_changed": "no" if changed == "" else "yes"}


def _git(*arguments: str) -> str | None:
    """What git says in the folder of the package; None if it cannot."""
    folder = str(Path(__file__).parent)
    try:
        done = subprocess.run(
            ["git", "-C", folder, *arguments],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
