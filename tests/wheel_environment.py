"""The wheel of this checkout, and environments that hold it and what it declares: no network.

An environment is an empty one, filled with hard links to the files of this one: of exactly those
packages that the wheel's own metadata ask for. What a job finds in it, `pip install` brings.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import venv_pack
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1]
PACKED = "yt8m_spark", "jobs", "conf"
BESIDE = "benchmarks", "databricks", "docs", "notebooks", "tests"  # of the sdist alone
FILES = (
    *("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "Makefile", "SECURITY.md"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "constraints.txt", "constraints-oldest.txt"),
    *("databricks.yml", "mkdocs.yml"),
)


def build_wheel(folder):
    """Build the wheel in ``folder`` from a copy of the sources; return its path."""
    _build(folder, "--wheel")
    return next(Path(folder).glob("*.whl"))


def build_distributions(folder):
    """Build wheel and sdist in ``folder``; return what building them said."""
    return _build(folder)


def install_wheel(wheel, folder, extras=(), without=()):
    """Make an environment at ``folder`` with ``wheel`` and its requirements; return ``folder``.

    Packages ``without`` are left out, and with them what only they need: a cluster's executors have
    a PySpark of their own.
    """
    folder = Path(folder)
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    [ours] = importlib.metadata.distributions(name="yt8m_spark", path=[str(packages)])
    for name in required_packages(ours.requires or [], extras, without):
        _link_package(importlib.metadata.distribution(name), packages)
    return folder


def required_packages(requirements, extras=(), without=()):
    """Names of all packages that ``requirements`` of a package, with ``extras``, need here."""
    waiting, seen = [(requirements, frozenset(extras))], {}
    left_out = set(map(canonicalize_name, without))
    while waiting:
        texts, asked = waiting.pop()
        for requirement in map(Requirement, texts):
            name = canonicalize_name(requirement.name)
            known = seen.get(name, frozenset())
            found = name in seen and requirement.extras <= known
            if name in left_out or found or not _holds(requirement, asked):
                continue
            seen[name] = known | requirement.extras
            waiting.append((importlib.metadata.distribution(name).requires or [], seen[name]))
    return sorted(seen)


def pack(environment, target):
    """Pack ``environment`` into the archive ``target`` (.tar.gz), for ``--archives``; return it.

    Its Python is a link to this machine's: for clusters on this machine. Not squeezed, which would
    take half a minute; and no .tar, of which Spark takes no permissions.
    """
    how = {"format": "tar.gz", "compress_level": 0, "force": True}
    venv_pack.pack(str(environment), output=str(target), **how)
    return Path(target)


def _build(folder, *what):
    source = Path(folder) / "source"
    for name in (*PACKED, *BESIDE):
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(PROJECT / name, source / name, ignore=ignored)
    for name in FILES:
        shutil.copy(PROJECT / name, source)
    command = [sys.executable, "-m", "build", *what, "--no-isolation", "--outdir", folder, source]
    # Which setuptools would warn of.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(source)
    return done.stdout + done.stderr


def _holds(requirement, extras):
    """Whether the marker of ``requirement`` is true here, for a package with ``extras``."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _link_package(distribution, packages):
    """Hard-link the files of ``distribution`` into the folder ``packages``."""
    for file in distribution.files or []:
        if ".." in file.parts:  # programs, whose first line names the Python of this environment
            continue
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            _link(distribution.locate_file(file), target)


def _link(source, target):
    try:
        os.link(source, target)
    except FileNotFoundError:  # a cached .pyc that is gone
        return
    except OSError:  # another file system
        shutil.copy(source, target)
