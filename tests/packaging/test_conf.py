"""Files of conf/: the command in the comment is what the job takes. No job is run here."""

import re
import shlex
import zipfile
from pathlib import Path

import pyspark
import pytest
from job_configs import config_type_of
from wheel_environment import PROJECT

from yt8m_spark import session
from yt8m_spark.config import load_config
from yt8m_spark.network_config import load_networks

CONF = PROJECT / "conf"
SETTINGS = sorted(CONF.rglob("*.toml"), key=str)
COMMAND = re.compile(r"^#   (?:python|spark-submit) jobs/(\w+)\.py (.+)", re.MULTILINE)

# What the paper's Table 3 has: three rows on frames, four on video features.
TABLE_3 = {"logistic_frames", "dbof", "lstm", "hinge_mean", "logistic_mean", "moe_mean"}
TABLE_3 |= {"moe_mean_std_top5"}


def command_of(path):
    """The job that a file's comment runs, and its options."""
    text = path.read_text().replace("\\\n#", "")
    found = COMMAND.search(text)
    assert found, f"{path} has no command in its comment"
    return found.group(1), shlex.split(found.group(2))


def config_of(path):
    """What the job of ``path`` would be told by the command in its comment."""
    job, options = command_of(path)
    return load_config(config_type_of(job), options, job=job)


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: str(path.relative_to(CONF)))
def test_the_command_in_a_file_is_what_its_job_takes(path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    _, options = command_of(path)
    assert options[options.index("--config") + 1] == str(path.relative_to(PROJECT))
    config = config_of(path)
    if getattr(config, "networks", None):
        assert Path(config.networks).is_relative_to(path.parent.relative_to(PROJECT))
        assert load_networks(config.networks)


def test_every_row_of_table_3_is_a_file():
    assert {file.stem for file in (CONF / "paper" / "table_3").iterdir()} == TABLE_3
    assert {file.stem for file in (CONF / "paper" / "table_4").iterdir()} == TABLE_3


def test_the_plans_of_the_rows_differ_in_what_their_names_say(monkeypatch):
    monkeypatch.chdir(PROJECT)
    for name in TABLE_3:
        config = config_of(CONF / "paper" / "table_3" / f"{name}.toml")
        assert config.recipes == (name,)


@pytest.mark.parametrize("line", ["prior_biass = true", "epochs = 0", "batch_size = 'many'"])
def test_a_file_that_its_job_does_not_take_is_noticed(line, tmp_path):
    file = tmp_path / "wrong.toml"
    command = "#   python jobs/run_pipeline.py --train a --test b --output c --config "
    file.write_text(f"{command}{file}\n{line}\n")
    with pytest.raises(ValueError, match=r"prior_biass|epochs|batch_size"):
        config_of(file)


def test_a_file_that_a_file_names_is_looked_for_beside_it(tmp_path, monkeypatch):
    settings = tmp_path / "conf"
    settings.mkdir()
    (settings / "networks.toml").write_text("epochs = 3\n")
    file = settings / "row.toml"
    command = f"#   python jobs/run_pipeline.py --train a --test b --output c --config {file}\n"
    file.write_text(command + 'networks = "networks.toml"\n')
    monkeypatch.chdir(tmp_path)  # where there is no networks.toml
    assert load_networks(config_of(file).networks).epochs == 3
    # As before: from the working folder, where none is beside the file.
    file.write_text(command + 'networks = "conf/networks.toml"\n')
    assert load_networks(config_of(file).networks).epochs == 3


def test_spark_knows_every_key_of_the_defaults():
    jars = Path(pyspark.__file__).parent / "jars"
    known = b""
    for pattern, folder in (("spark-core_*", "internal/config"), ("spark-sql-api_*", "sql")):
        for jar in jars.glob(f"{pattern}.jar"):
            with zipfile.ZipFile(jar) as classes:
                names = [name for name in classes.namelist() if folder in name]
                known += b"".join(classes.read(name) for name in names)
    for jar in jars.glob("spark-catalyst_*.jar"):
        with zipfile.ZipFile(jar) as classes:
            names = [name for name in classes.namelist() if "/internal/SQLConf" in name]
            known += b"".join(classes.read(name) for name in names)
    unknown = [key for key in spark_defaults() if key.encode() not in known]
    assert not unknown


def spark_defaults():
    """Keys of spark-defaults.conf, those in comments, too; not the environment of executors."""
    lines = (CONF / "spark-defaults.conf").read_text().splitlines()
    keys = [line.lstrip("#").split()[0] for line in lines if re.match(r"#?spark\.", line)]
    return [key for key in keys if not key.startswith("spark.executorEnv.")]


def test_tasks_are_given_what_the_session_gives_its_own_workers():
    text = (CONF / "spark-defaults.conf").read_text()
    given = dict(re.findall(r"^spark\.executorEnv\.(\S+)\s+(\S+)", text, re.MULTILINE))
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    assert given == session.WORKER_MEMORY | threads
    batch = re.search(r"^spark\.sql\.execution\.arrow\.maxRecordsPerBatch\s+(\d+)", text, re.M)
    assert int(batch.group(1)) == session.ROWS_PER_BATCH
