"""Secrets do not leave a job by its errors, its JSON line or its run in MLflow.

What counts as a secret is tested in test_masking.py; params of runs in test_tracking.py.
"""

from dataclasses import dataclass

import pytest

from yt8m_spark.config import option
from yt8m_spark.environment import describe_environment
from yt8m_spark.errors import InputError, RankError
from yt8m_spark.job import JobResult, run_job

SECRET = "hunter2hunter2"  # noqa: S105 - of nobody
ADDRESSES = [
    f"https://ana:{SECRET}@host:5000",
    f"postgresql://me:{SECRET}@db/mlflow",
    f"https://host/x?sv=1&sig={SECRET}",
    f"AWS_SECRET_ACCESS_KEY={SECRET}",
    f"fs.azure.account.key.store.dfs.core.windows.net={SECRET}",
    f"Authorization: Bearer {SECRET}",
    f"sc://host:443/;use_ssl=true;token={SECRET}",
]


@dataclass(frozen=True)
class Config:
    """Options of a job."""

    output: str = option("where to", "out")


def run(capsys, main, *argv):
    with pytest.raises(SystemExit) as ended:
        run_job("some_job", Config, main, list(argv))
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


@pytest.mark.parametrize("text", ADDRESSES)
@pytest.mark.parametrize(
    ("kind", "status"), [(InputError, 2), (RankError, 1), (KeyError, 1), (OSError, 1)]
)
def test_an_error_is_told_without_its_secrets(capsys, text, kind, status):
    def main(config):
        raise kind(f"cannot reach {text} now")

    found = run(capsys, main)
    assert found[0] == status
    assert SECRET not in found[1] + found[2]
    assert "***" in found[2]


def test_a_cause_in_a_stack_trace_is_told_without_its_secrets(capsys):
    def main(config):
        try:
            raise OSError(f"no answer of https://a:{SECRET}@host")
        except OSError as error:
            raise RuntimeError("store") from error

    status, out, err = run(capsys, main)
    assert status == 1
    assert "https://a:***@host" in err
    assert SECRET not in out + err


def test_an_unknown_flag_is_told_without_its_secrets(capsys):
    status, out, err = run(capsys, lambda config: None, f"--store=https://a:{SECRET}@host")
    assert status == 2
    assert "--store=https://a:***@host" in err
    assert SECRET not in out + err


def test_the_last_line_has_no_secrets(capsys):
    outputs = {"model": f"https://a:{SECRET}@host/model", "table": "/data/a=1/token"}
    status, out, _ = run(capsys, lambda config: JobResult(outputs))
    assert status == 0
    assert SECRET not in out
    assert '"/data/a=1/token"' in out


class Server:
    """A session whose settings hold secrets."""

    version = "4.9.9"

    class conf:  # noqa: N801 - Spark's name
        @staticmethod
        def get(name, default=None):
            return f"sc://host/;token={SECRET}"

    def sql(self, question):
        raise RuntimeError(SECRET)


def test_the_description_of_the_environment_has_no_secrets(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("DATABRICKS_TOKEN", SECRET)
    assert SECRET not in str(describe_environment(Server()))
