"""Nothing that is read runs as code: what the sources call, without benchmarks and tests.

That damaged files are refused is tested where they are read.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SOURCES = [*(PROJECT / "yt8m_spark").rglob("*.py"), *(PROJECT / "jobs").glob("*.py")]
# Formats that hold code, or objects that are made by calls.
BANNED_MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"),
    *("pickletools", "jsonpickle", "code", "codeop", "imp", "commands"),
    # Parsers of XML follow entities; none of what we read is XML.
    *("xml", "lxml", "html5lib"),
}
BANNED_CALLS = {
    *("eval", "exec", "compile", "__import__", "execfile"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("pd.read_pickle", "pandas.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    *("tempfile.mktemp",),
}
# Running the cells of a notebook that the user names is what a runner of notebooks is for.
MAY_CALL = {"notebook.py": {"eval", "exec", "compile"}}


@cache
def nodes(path):
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


def calls(path):
    """Name as it is written, and node, of every call."""
    for node in nodes(path):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imported(path):
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def options(call):
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


@pytest.fixture(scope="module")
def all_calls():
    return [(path, name, call) for path in SOURCES for name, call in calls(path)]


def test_there_are_sources_to_look_at(all_calls):
    assert len(SOURCES) > 200
    assert len(all_calls) > 5000


def test_no_module_is_imported_that_reads_objects_or_follows_entities():
    for path in SOURCES:
        assert not {name.split(".")[0] for name in imported(path)} & BANNED_MODULES, path


def test_nothing_is_evaluated_and_no_shell_is_asked(all_calls):
    for path, name, call in all_calls:
        if name not in MAY_CALL.get(path.name, ()):
            assert name not in BANNED_CALLS, f"{path}:{call.lineno}"
        assert options(call).get("shell", "False") == "False", f"{path}:{call.lineno}"


def test_only_the_runner_of_notebooks_may_run_what_it_reads():
    assert [path.name for path in SOURCES if path.name in MAY_CALL] in ([], ["notebook.py"])


def test_arrays_and_tensors_are_read_without_objects(all_calls):
    seen = 0
    for path, name, call in all_calls:
        given = options(call)
        if name in ("np.load", "numpy.load"):
            seen += 1
            assert given.get("allow_pickle") == "False", f"{path}:{call.lineno}"
        assert given.get("allow_pickle", "False") == "False", f"{path}:{call.lineno}"
        if name == "torch.load":
            assert given.get("weights_only") == "True", f"{path}:{call.lineno}"
    assert seen >= 5


def test_torchscript_is_loaded_in_one_place_which_only_a_user_s_own_option_reaches(all_calls):
    found = {path.name for path, name, _ in all_calls if name.startswith("torch.jit.load")}
    assert found == {"torchscript_network.py"}


def test_templates_escape_what_they_are_given(all_calls):
    made = [call for _, name, call in all_calls if name.split(".")[-1] == "Environment"]
    assert made
    for call in made:
        assert options(call).get("autoescape") == "True"


# State that a run keeps for itself, in folders that only it writes to, and answers of a server.
OWN_STATE = {
    *(
        "pyfunc.py",
        "tracking_entries.py",
        "scorer.py",
        "network_metrics.py",
        "extraction_output.py",
    ),
    *("step_log.py", "launch.py", "checkpoints.py", "shards.py", "events.py"),
    *("leftovers.py", "counters.py", "plan_inputs.py"),
}


def test_text_that_people_bring_is_read_within_the_limits_of_one_module(all_calls):
    readers = {"json.load", "json.loads", "tomllib.load", "tomllib.loads"}
    found = {path.name for path, name, _ in all_calls if name in readers}
    assert "small_text.py" in found
    assert found - {"small_text.py"} <= OWN_STATE
