"""databricks.yml and databricks/job.yml: their schema, variables, graph and parameters.

The job itself runs in tests/jobs/test_databricks.py. No workspace was asked: what only it can tell
(that a node type exists, that the volume does) is not tested.
"""

import re
import tomllib

import pytest
from databricks.bundles.jobs import Job
from databricks_bundle import (
    PROJECT,
    in_order,
    job_of,
    laid_over,
    needs,
    read_bundle,
    variables_in,
)
from job_configs import config_type_of

from yt8m_spark.config import load_config

BUNDLE = read_bundle()
TARGETS = tuple(BUNDLE["targets"])

# The reference of bundle configuration: keys of the top level, and of the mappings used here.
TOP = {
    "artifacts", "bundle", "experimental", "include", "permissions", "presets", "python",
    "resources", "run_as", "scripts", "sync", "targets", "variables", "workspace",
}  # fmt: skip
NESTED = {
    "bundle": {
        "cluster_id", "compute_id", "databricks_cli_version", "deployment", "git", "name", "uuid",
    },
    "sync": {"exclude", "include", "paths"},
}  # fmt: skip
ARTIFACT = {"build", "dynamic_version", "executable", "files", "path", "type"}
VARIABLE = {"default", "description", "lookup", "type"}
TARGET = {
    "artifacts", "bundle", "cluster_id", "compute_id", "default", "git", "mode", "permissions",
    "presets", "resources", "run_as", "sync", "variables", "workspace",
}  # fmt: skip

WORKSPACE = {
    "artifact_path", "auth_type", "client_id", "file_path", "host", "profile", "resource_path",
    "root_path", "state_path",
}  # fmt: skip


def unknown_keys(bundle):
    """Keys that the reference does not have, by where they stand."""
    found = [("top level", set(bundle) - TOP)]
    found += [(name, set(bundle.get(name, {})) - keys) for name, keys in NESTED.items()]
    for name, keys in (("artifacts", ARTIFACT), ("variables", VARIABLE), ("targets", TARGET)):
        found += [(f"{name}.{key}", set(each) - keys) for key, each in bundle[name].items()]
    for target, each in bundle["targets"].items():
        found.append((f"workspace of {target}", set(each.get("workspace", {})) - WORKSPACE))
    return [(where, sorted(keys)) for where, keys in found if keys]


def configs():
    """Config of each job that the bundle runs."""
    names = {parameters(task)[0] for task in job_of(BUNDLE, "dev")["tasks"]}
    return {name: config_type_of(name) for name in names}


def parameters(task):
    return task["python_wheel_task"]["parameters"]


def paths(task):
    """Volume paths that a task reads, and the one it writes."""
    reads, writes = set(), set()
    for parameter in parameters(task)[1:]:
        flag, _, value = parameter.partition("=")
        for path in re.findall(r"/Volumes/[^,]+", value):
            (writes if flag == "--output" else reads).add(path)
    return reads, writes


def test_every_key_is_one_of_the_reference():
    assert unknown_keys(BUNDLE) == []
    assert BUNDLE["bundle"]["name"] == "yt8m_spark"
    assert unknown_keys(BUNDLE | {"target": {}}) == [("top level", ["target"])]


@pytest.mark.parametrize("target", TARGETS)
def test_the_job_has_the_schema_of_databricks(target):
    job = job_of(BUNDLE, target)
    Job.from_dict(job)
    with pytest.raises(ValueError, match="Unexpected field 'job_cluster'"):
        Job.from_dict(laid_over(job, {"tasks": [{"task_key": "compare", "job_cluster": "main"}]}))


@pytest.mark.parametrize("target", TARGETS)
def test_every_task_has_one_place_to_run(target):
    job = job_of(BUNDLE, target)
    (artifact,) = BUNDLE["artifacts"].values()
    places = {
        "job_cluster_key": {each["job_cluster_key"] for each in job.get("job_clusters", [])},
        "environment_key": {each["environment_key"] for each in job.get("environments", [])},
    }
    for task in job["tasks"]:
        (kind,) = [name for name in places if name in task]
        assert task[kind] in places[kind]
        wheels = job.get("environments", [{}])[0].get("spec", {}).get("dependencies", [])
        wheels = wheels or [library["whl"] for library in task["libraries"]]
        assert wheels == [artifact["files"][0]["source"]]
        assert task["python_wheel_task"]["package_name"] == "yt8m_spark"
        assert task["python_wheel_task"]["entry_point"] == "yt8m-spark"


def test_targets_share_all_tasks():
    keys = [[task["task_key"] for task in job_of(BUNDLE, target)["tasks"]] for target in TARGETS]
    assert all(found == keys[0] for found in keys)
    assert {BUNDLE["targets"][target]["mode"] for target in ("dev", "prod")} == {
        "development",
        "production",
    }
    assert [t for t in TARGETS if BUNDLE["targets"][t].get("default")] == ["dev"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_has_a_mode_and_its_clusters_a_size_and_machines(target):
    assert BUNDLE["targets"][target]["mode"] in ("development", "production")
    for cluster in job_of(BUNDLE, target).get("job_clusters", []):
        made = cluster["new_cluster"]
        assert made["node_type_id"]
        assert ("autoscale" in made) != ("num_workers" in made)


def test_nobody_else_can_write_where_the_production_job_runs_from():
    root = BUNDLE["targets"]["prod"]["workspace"]["root_path"]
    assert root.startswith("/Workspace/Users/${workspace.current_user.userName}/")


def test_every_variable_is_declared_and_used():
    assert variables_in(BUNDLE) == set(BUNDLE["variables"])
    assert all(each["description"] for each in BUNDLE["variables"].values())


def test_the_entry_point_is_the_console_script():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    scripts = {task["python_wheel_task"]["entry_point"] for task in job_of(BUNDLE, "dev")["tasks"]}
    assert scripts <= set(project["scripts"])
    assert project["name"] == "yt8m_spark"


def test_the_graph_has_no_circle_and_no_missing_task():
    tasks = job_of(BUNDLE, "dev")["tasks"]
    assert set().union(*map(needs, tasks)) <= {task["task_key"] for task in tasks}
    assert in_order(tasks)[-1]["task_key"] == "compare"
    with pytest.raises(AssertionError, match="in a circle"):
        in_order([{"task_key": "a", "depends_on": [{"task_key": "a"}]}])


def test_parameters_are_those_of_the_jobs():
    known = configs()
    for task in job_of(BUNDLE, "dev")["tasks"]:
        job, *flags = parameters(task)
        load_config(known[job], flags, job=job)


def test_a_task_reads_what_tasks_before_it_wrote():
    written = {}
    for task in in_order(job_of(BUNDLE, "dev")["tasks"]):
        reads, writes = paths(task)
        before = set().union(*(written.get(name, set()) for name in ancestors(task)), set())
        made = {path for path in reads if "/work/" in path}
        assert made <= before, task["task_key"]
        assert len(writes) == 1
        assert not writes & set().union(*written.values(), set()), "two tasks write to one place"
        written[task["task_key"]] = writes


def ancestors(task):
    """Keys of all tasks that must be done before ``task``."""
    by_key = {each["task_key"]: each for each in job_of(BUNDLE, "dev")["tasks"]}
    direct = needs(task)
    return direct.union(*(ancestors(by_key[name]) for name in direct)) if direct else set()


def test_what_is_synced_is_there():
    assert all((PROJECT / path).exists() for path in BUNDLE["sync"]["paths"])
    for artifact in BUNDLE["artifacts"].values():
        assert (PROJECT / artifact["path"] / artifact["build"].split()[1]).is_file()
