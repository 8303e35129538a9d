"""What is told of the environment of a run, on a classic session; Connect only as far as a fake."""

import json
import platform
import subprocess
from importlib.metadata import version

from yt8m_spark import environment
from yt8m_spark.environment import describe_environment, environment_tags


class Connect:
    """A session as Spark Connect's: no Java beside Python, but SQL."""

    version = "4.9.9"

    def __init__(self, answer):
        self.answer = answer

    @property
    def conf(self):
        raise RuntimeError("not for you")

    def sql(self, question):
        assert "java.version" in question
        if self.answer is None:
            raise RuntimeError("java_method is not allowed")
        return self

    def first(self):
        return [self.answer]


def test_versions_are_those_of_what_runs(spark):
    told = describe_environment(spark)
    assert told["python"] == platform.python_version()
    assert told["numpy"] == version("numpy")
    assert told["spark"] == spark.version
    assert told["spark_master"] == "local[2]"
    assert int(told["java"].split(".")[0]) >= 17
    json.dumps(told)


def test_java_of_a_server_is_asked_by_sql(spark):
    asked = spark.sql("SELECT java_method('java.lang.System', 'getProperty', 'java.version')")
    assert asked.first()[0] == describe_environment(spark)["java"]
    assert describe_environment(Connect("21.0.1"))["java"] == "21.0.1"
    told = describe_environment(Connect(None))
    assert (told["java"], told["spark_master"], told["spark"]) == ("unknown", "unknown", "4.9.9")


def test_the_commit_is_the_one_of_a_checkout_of_the_code(monkeypatch, tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("a = 1\n")
    monkeypatch.setattr(environment, "__file__", str(package / "environment.py"))
    assert environment._commit() == {}  # no checkout
    git("init", "--quiet")
    assert environment._commit() == {}  # one of something else: an environment lies in it
    git("add", ".")
    git("commit", "--quiet", "-m", "x")
    assert environment._commit() == {"git_commit": git("rev-parse", "HEAD"), "git_changed": "no"}
    (package / "__init__.py").write_text("a = 2\n")
    assert environment._commit()["git_changed"] == "yes"


def test_tags_are_what_mlflow_shows_and_people_filter_by(monkeypatch):
    names = ("yt8m_spark", "python", "spark", "java", "platform")
    tags = environment_tags(dict.fromkeys(names, "1") | {"git_commit": "abc", "numpy": "2"})
    assert tags["mlflow.source.git.commit"] == "abc"
    assert tags["env.spark"] == "1"
    assert "env.numpy" not in tags
    monkeypatch.setattr(environment.getpass, "getuser", lambda: {}["nobody"])
    assert "mlflow.user" not in environment_tags(dict.fromkeys(names, "1"))
