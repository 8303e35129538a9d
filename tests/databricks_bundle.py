"""A reader of databricks.yml: includes, a target laid over the rest, variables put in.

What `databricks bundle validate` does of it needs a workspace; this needs none.
"""

import copy
import re
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
_VARIABLE = re.compile(r"\$\{var\.(\w+)\}")
# Lists whose items are laid over each other by a key of theirs, as the CLI does.
_KEYS = {"tasks": "task_key", "job_clusters": "job_cluster_key", "environments": "environment_key"}


def read_bundle():
    """The bundle with its includes, as it stands."""
    root = yaml.safe_load((PROJECT / "databricks.yml").read_text(encoding="utf-8"))
    for pattern in root["include"]:
        paths = sorted(PROJECT.glob(pattern))
        assert paths, f"{pattern} includes nothing"
        for path in paths:
            root = laid_over(root, yaml.safe_load(path.read_text(encoding="utf-8")))
    return root


def job_of(bundle, target, **values):
    """The job of ``target`` with all variables put in."""
    chosen = bundle["targets"][target]
    job = laid_over(bundle, chosen)["resources"]["jobs"]["yt8m"]
    given = {name: str(each["default"]) for name, each in bundle["variables"].items()} | values
    return with_variables(job, given)


def laid_over(below, above):
    """``above`` over ``below``: mappings key by key, lists of keyed items item by item."""
    merged = copy.deepcopy(below)
    for name, value in above.items():
        if isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = laid_over(merged[name], value)
        elif name in _KEYS and name in merged:
            key = _KEYS[name]
            items = {item[key]: item for item in merged[name]}
            for item in value:
                items[item[key]] = laid_over(items.get(item[key], {}), item)
            merged[name] = list(items.values())
        else:
            merged[name] = copy.deepcopy(value)
    return merged


def with_variables(value, given):
    """``value`` with each ``${var.name}`` in it replaced."""
    if isinstance(value, dict):
        return {name: with_variables(item, given) for name, item in value.items()}
    if isinstance(value, list):
        return [with_variables(item, given) for item in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: given[found[1]], value)
    return value


def variables_in(value):
    """Names of all variables that ``value`` mentions."""
    return set(_VARIABLE.findall(yaml.safe_dump(value)))


def in_order(tasks):
    """Tasks so that each stands after those that it depends on; a circle is an error."""
    left = {task["task_key"]: task for task in tasks}
    done = []
    while left:
        ready = [name for name, task in left.items() if not needs(task) & set(left)]
        assert ready, f"tasks depend on each other in a circle: {sorted(left)}"
        done += [left.pop(name) for name in ready]
    return done


def needs(task):
    """Keys of the tasks that ``task`` depends on."""
    return {each["task_key"] for each in task.get("depends_on", [])}
