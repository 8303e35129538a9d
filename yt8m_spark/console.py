"""The command `yt8m-spark`: run a job of this package by its name, here or on a cluster."""

from __future__ import annotations

import ast
import difflib
import os
import re
import runpy
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from yt8m_spark import __version__
from yt8m_spark.errors import InputError
from yt8m_spark.jre import ensure_java
from yt8m_spark.masking import masked
from yt8m_spark.streams import open_streams

__all__ = ["main"]

_PACKAGE = Path(__file__).parent

_USAGE = """\
usage: yt8m-spark [options of spark-submit] JOB [options of the job]
       yt8m-spark JOB --help      options of a job
       yt8m-spark --path JOB      file of a job, for spark-submit "$(yt8m-spark --path JOB)"
       yt8m-spark --conf-dir      folder of settings: spark-defaults.conf, local/, paper/
       yt8m-spark --version

Without options of spark-submit a job runs on the cores of this machine, or where SPARK_REMOTE,
SPARK_CONF_DIR or the conf folder of SPARK_HOME say.

jobs:
"""

# Options of spark-submit that take no value; each other one is followed by its own.
_SWITCHES = {"--supervise", "--verbose", "-v", "--load-spark-defaults"}

_DEPLOY_MODE = re.compile(r"^[ \t]*spark\.submit\.deployMode[ \t=:]+(\w+)", re.MULTILINE)


class _Command(NamedTuple):
    """What stands on the command line."""

    spark: list[str]  # options of spark-submit
    job: str
    options: list[str]  # of the job

    def of_spark(self, name: str) -> str | None:
        """Value of the option ``--name`` of spark-submit; the last one counts."""
        found = None
        for place, text in enumerate(self.spark):
            flag, equals, value = text.partition("=")
            if flag == name:
                found = value if equals else "".join(self.spark[place + 1 : place + 2])
        return found

    def driver_is_elsewhere(self) -> bool:
        """Whether the job's own Python is to run on the cluster."""
        key = "spark.submit.deployMode="
        given = [text.removeprefix("--conf=") for text in self.spark]
        mode = next(
            (text.removeprefix(key) for text in reversed(given) if text.startswith(key)), None
        )
        return (self.of_spark("--deploy-mode") or mode or self._mode_of_file()) == "cluster"

    def _mode_of_file(self) -> str | None:
        """Deploy mode of the user's own settings, if there is one."""
        file = self.of_spark("--properties-file") or _own_settings()
        with suppress(OSError):  # Spark will tell
            if file and (modes := _DEPLOY_MODE.findall(_joined(Path(file)))):
                return str(modes[-1])
        return None

    def named(self) -> str:
        """The options for Spark without their values, which may be secrets."""
        return shlex.join(
            text.partition("=")[0]
            for before, text in pairwise(["", *self.spark])
            if text.startswith("-") or before in ("--conf", "-c")
        )

    def sets(self, key: str) -> bool:
        """Whether a ``--conf`` sets the property ``key``."""
        return any(text.removeprefix("--conf=").startswith(f"{key}=") for text in self.spark)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job that ``argv`` names, as ``spark-submit jobs/JOB.py`` would.

    The job runs in this process, so that signals, the exit status and the last line of stdout are
    its own; options of spark-submit go to the JVM that the job's session starts.

    Raises
    ------
    SystemExit
        With the status of a job that failed, 2 for a command line at fault. A job that succeeded
        returns: Databricks takes any SystemExit for a failure.
    """
    open_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if not _told(arguments):
            _run(_parsed(arguments))
    except InputError as error:
        print(masked(f"yt8m-spark: error: {error}"), file=sys.stderr)
        sys.exit(2)


def _joined(settings: Path) -> str:
    """Text of a file of settings; a line that ends in a backslash goes on in the next."""
    return re.sub(r"\\\r?\n[ \t]*", "", settings.read_text(errors="replace"))


def _told(arguments: list[str]) -> bool:
    """Answer a question about the package itself; False where it is none."""
    match arguments:
        case [] | ["--help"] | ["-h"]:
            print(_USAGE + "\n".join(_listed()))
        case ["--help" | "-h", job]:
            _run(_Command([], job, ["--help"]))
        case ["--version", *_]:
            print(f"yt8m_spark {__version__}")
        case ["--conf-dir"]:
            print(_folder("conf"))
        case ["--path"]:
            raise InputError("no job is named", expected="yt8m-spark --path JOB")
        case ["--path", job]:
            print(_job_file(job))
        case _:
            return False
    return True


def _listed() -> list[str]:
    """One line a job: its name and the first sentence of its docstring; nothing is imported."""
    files = _job_files()
    width = max(map(len, files))
    return [f"  {name:{width}}  {_summary(file)}" for name, file in files.items()]


def _summary(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def _parsed(arguments: list[str]) -> _Command:
    """Tell options of spark-submit, the job and its options apart."""
    place = 0
    while place < len(arguments) and arguments[place].startswith("-"):
        alone = "=" in arguments[place] or arguments[place] in _SWITCHES
        place += 1 if alone else 2
    if place >= len(arguments):
        raise InputError("no job is named", expected="yt8m-spark [options] JOB [options]")
    return _Command(arguments[:place], arguments[place], arguments[place + 1 :])


def _run(command: _Command) -> None:
    """Run the job in this process, or hand it to the cluster whose driver is elsewhere."""
    file = _job_file(command.job)
    remote = command.of_spark("--remote")
    if remote:
        if len(command.spark) > 2 or (len(command.spark) == 2 and "=" in command.spark[0]):
            expected = "--remote alone: its server has the settings"
            raise InputError("too many options", expected=expected, found=command.named())
        os.environ["SPARK_REMOTE"] = remote
    elif _session_is_given():
        if command.spark:
            raise InputError("the Spark session is given here", found=command.named())
    elif command.driver_is_elsewhere():
        _submit(command, file)
    else:
        _prepare_session(command)
    sys.argv = [str(file), *command.options]
    try:
        runpy.run_path(str(file), run_name="__main__")
    except SystemExit as ended:
        if ended.code not in (0, None):
            raise


def _session_is_given() -> bool:
    """Whether the session is Databricks' or a Connect server's: there is nothing to submit."""
    return bool(os.environ.get("SPARK_REMOTE") or os.environ.get("DATABRICKS_RUNTIME_VERSION"))


def _prepare_session(command: _Command) -> None:
    """Have the JVM that the job will start take what spark-submit would take.

    With no option and no settings of the user's own nothing is to be done: the session is the
    one of ``python jobs/JOB.py``.
    """
    own = command.of_spark("--properties-file") or _own_settings()
    if not command.spark and own is None:
        return
    if not {"-h", "--help"} & set(command.options):
        ensure_java()
    ours = []
    if own is None:
        own = str(_folder("conf") / "spark-defaults.conf")
        os.environ.setdefault("SPARK_CONF_DIR", str(_folder("conf")))  # quiet logs, too
        if not (command.of_spark("--master") or command.sets("spark.master")):
            ours = _local_options()
    ours = ["--properties-file", own, *ours]  # of an option given twice, the last counts
    os.environ["PYSPARK_SUBMIT_ARGS"] = shlex.join([*ours, *command.spark, "pyspark-shell"])


def _own_settings() -> str | None:
    """The spark-defaults.conf that spark-submit finds by itself."""
    home = os.environ.get("SPARK_HOME")
    folder = os.environ.get("SPARK_CONF_DIR") or (home and f"{home}/conf")
    file = f"{folder}/spark-defaults.conf"
    return file if folder and os.path.isfile(file) else None


def _local_options() -> list[str]:
    """What a session of this machine has without spark-submit; the user's own options follow."""
    from yt8m_spark.session import LOCAL_DEFAULTS  # with PySpark, for which --help does not wait

    settings = [f"{key}={value}" for key, value in LOCAL_DEFAULTS.items()]
    return ["--master", "local[*]", *(part for text in settings for part in ("--conf", text))]


def _submit(command: _Command, file: Path) -> None:
    """Become spark-submit: the cluster runs the job's Python, too."""
    found = find_spec("pyspark")
    home = os.environ.get("SPARK_HOME") or (found and found.origin and Path(found.origin).parent)
    if not home:
        raise InputError("no Spark found", expected="SPARK_HOME or the package pyspark")
    ensure_java()
    os.environ.setdefault("SPARK_HOME", str(home))
    submit = f"{home}/bin/spark-submit"
    os.execv(submit, [submit, *command.spark, str(file), *command.options])  # noqa: S606


def _job_file(name: str) -> Path:
    files = _job_files()
    wanted = name.removesuffix(".py").replace("-", "_")
    if wanted in files:
        return files[wanted]
    near = difflib.get_close_matches(wanted, files, n=3, cutoff=0.7)
    hint = f" is it {' or '.join(near)}?" if near else ""
    raise InputError(f"no job {name!r};{hint} `yt8m-spark --help` lists them")


def _job_files() -> dict[str, Path]:
    """Files of the jobs by name."""
    return {file.stem: file for file in sorted(_folder("jobs").glob("[a-z]*.py"))}


def _folder(name: str) -> Path:
    """Folder ``name`` of the installed package, or beside it in a checkout."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
