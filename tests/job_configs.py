"""The options of a job as a type, for tests that read command lines without running them."""

import ast
import importlib.util
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def config_type_of(name):
    """The dataclass of options that jobs/NAME.py hands to `run_job`."""
    path = PROJECT / "jobs" / f"{name}.py"
    calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
    given = next(n.args[1] for n in calls if getattr(n.func, "id", None) == "run_job")
    spec = importlib.util.spec_from_file_location(f"job_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where the types of its fields are looked up
    spec.loader.exec_module(module)
    return getattr(module, given.id)
