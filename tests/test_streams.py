"""Jobs whose streams are closed or cannot be written."""

import subprocess
import sys

import pytest

CODE = """
import dataclasses
from yt8m_spark.job import JobResult, run_job
@dataclasses.dataclass
class Config:
    pass
def main(config):
    with open("made", "w") as file:
        file.write(str(file.fileno() > 2))
    return JobResult({"made": "made"})
run_job("make", Config, main, [])
"""


def run(redirection, folder):
    command = f'"$0" -c "$1" {redirection}'
    shell = ["sh", "-c", command, sys.executable, CODE]
    return subprocess.run(shell, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("redirection", ["2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_a_job_runs_without_the_streams_that_are_closed(redirection, tmp_path):
    done = run(redirection, tmp_path)
    assert done.returncode == 0
    assert ('"job": "make"' in done.stdout) == (">&- 2" not in redirection)
    assert (tmp_path / "made").read_text() == "True", "no file has the number of a stream"


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_an_output_is_complete_though_its_result_cannot_be_printed(redirection, tmp_path):
    done = run(redirection, tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "made").exists()
    assert "Traceback" not in done.stderr
    told = "make: warning: the output is complete, but its result cannot be printed (No space left"
    assert (told in done.stderr) == ("full" in redirection)
