"""Faults on a cluster, and what is there afterwards. What a checkpoint holds is in tests/spark.

One more is in test_pipeline, for `make test`. These are for `make faults`, which sets YT8M_FAULTS
and so prints what time each has cost.
"""

import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
from cluster.fault_stages import (
    STAGES,
    Site,
    leftovers,
    replace_file,
    same_outputs,
)
from cluster.fault_times import FaultTime, record
from cluster.processes import gone, hit, kill_tree, send

# Two runs, on machines that may have other work.
pytestmark = [pytest.mark.timeout(2400), pytest.mark.faults]

DRIVER_LOST, PYTHON_LOST = "driver killed", "Python worker killed"
SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "200ms",
    "spark.speculation.multiplier": "1.5",
    "spark.speculation.quantile": "0.3",
}


@pytest.fixture(scope="module")
def site(cluster, tmp_path_factory):
    """The cluster with a folder of data."""
    return Site(cluster, tmp_path_factory.mktemp("site"))


@pytest.fixture(autouse=True)
def two_workers(cluster):
    """Each test begins with two workers, whatever the one before has done to them."""
    while len(cluster.workers) < 2:
        cluster.start_worker()


@pytest.fixture
def tell(capsys):
    """Print what a fault has cost, past pytest."""

    def tell(site, stage, fault, finished):
        with capsys.disabled():
            record(FaultTime(stage.name, fault, site.prepare(stage).seconds, finished.seconds))

    return tell


def kill_python(site, _):
    hit(signal.SIGKILL, site.cluster.workers[0].python_workers()[:1])


def kill_executor(site, _):
    hit(signal.SIGKILL, site.cluster.workers[0].executors())


def kill_worker(site, _):
    site.cluster.kill_worker(site.cluster.workers[0])


def kill_driver(_, running):
    kill_tree(running.process.pid)


def terminate_worker(site, _):
    """A spot machine is reclaimed."""
    worker = site.cluster.workers[0]
    hit(signal.SIGTERM, [worker.pid])
    site.cluster.lost(worker)


def decommission_worker(site, _):
    """As above, with a warning before it (SIGPWR); it is killed a while later."""
    worker = site.cluster.workers[0]
    hit(signal.SIGPWR, [worker.pid])
    time.sleep(3)
    site.cluster.kill_worker(worker)


KILLS = {
    PYTHON_LOST: kill_python,
    "executor killed": kill_executor,
    "worker killed": kill_worker,
    DRIVER_LOST: kill_driver,
}
RECLAIMS = {
    "worker reclaimed (SIGTERM)": terminate_worker,
    "worker decommissioned, then killed": decommission_worker,
}
CASES = [(stage, fault) for stage in STAGES for fault in KILLS]
CASES += list(zip(("training", "scoring"), RECLAIMS, strict=True))


def check(site, stage, output):
    """The output is that of an undisturbed run, and nothing else is left."""
    assert same_outputs(stage, site.folder / output, site.folder / f"whole_{stage.name}")
    assert leftovers(site.folder / output) == []


@pytest.mark.parametrize(("stage", "fault"), CASES)
def test_a_stage_survives_what_is_killed(site, tell, stage, fault):
    stage, output = STAGES[stage], site.new_output()
    site.prepare(stage)
    kill = {**KILLS, **RECLAIMS}[fault]
    finished = site.run(stage, output, strike=lambda running: kill(site, running))
    if fault == DRIVER_LOST:
        assert finished.status != 0
        assert not (site.folder / output).exists()
        finished = site.again(stage, output, finished)
    assert finished.status == 0, finished.application.text
    # With an executor shuffled rows may go too: the stage is tried again, not a task. And one that
    # is warned has time to finish.
    if fault == PYTHON_LOST:
        assert "event=retries tasks=" in finished.application.text, "no task was lost"
    tell(site, stage, fault, finished)
    check(site, stage, output)


@pytest.mark.parametrize(
    ("stage", "who"), [("statistics", "spark-submit"), ("training", "its Python")]
)
def test_a_driver_that_is_told_to_end_leaves_in_order(site, tell, stage, who):
    stage, output = STAGES[stage], site.new_output()
    site.prepare(stage)

    def terminate(running):
        hit(signal.SIGTERM, [running.process.pid if who == "spark-submit" else running.python()])

    stopped = site.run(stage, output, strike=terminate)
    assert stopped.status == 143, stopped.application.text
    assert "Traceback" not in stopped.application.text
    assert not (site.folder / output).exists()
    if not stage.resumes:  # Python goes on for a moment when spark-submit has ended
        assert soon(lambda: leftovers(site.folder / output) == [])
    finished = site.again(stage, output, stopped)
    assert finished.status == 0, finished.application.text
    tell(site, stage, f"SIGTERM to {who}", finished)
    check(site, stage, output)


@pytest.mark.parametrize("stage", STAGES)
def test_an_input_that_turns_unreadable_in_mid_run_is_named(site, tell, stage):
    stage, output = STAGES[stage], site.new_output()
    site.prepare(stage)
    spoilt = []

    def spoil(_):
        for path in sorted(site.folder.glob(stage.inputs.format(output=output)))[2:]:
            spoilt.append((path, path.read_bytes()))
            replace_file(path, spoilt[-1][1][: path.stat().st_size // 2])

    failed = site.run(stage, output, strike=spoil)
    for path, content in spoilt:
        if path.parent.is_dir():
            replace_file(path, content)
    told_in_one_line(failed, spoilt[0][0].suffix)
    assert not (site.folder / output).exists()
    finished = site.again(stage, output, failed)
    assert finished.status == 0, finished.application.text
    tell(site, stage, "input unreadable", finished)
    check(site, stage, output)


def soon(holds, seconds=30):
    """Whether ``holds`` is true within ``seconds``."""
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.1)
    return holds()


@contextmanager
def mounted(folder, *options):
    """A file system of its own at ``folder``; skips where one must be root for it."""
    folder.mkdir()
    done = subprocess.run(["mount", *options, folder], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def told_in_one_line(failed, part):
    """Status 2 and one line with ``part`` in it, not a page."""
    told = failed.application
    assert failed.status == 2, told.text
    assert len(told.errors) == 1, told.text
    assert part in told.errors[0]
    assert len(told.errors[0]) < 500
    assert "Traceback" not in told.text
    assert "\tat " not in told.text


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_fills_up_is_told_in_one_line(site, tell, stage):
    stage, folder = STAGES[stage], site.folder / "small"
    site.prepare(stage)
    size = {"whitening": "4m", "training": "12m", "scoring": "512k"}.get(stage.name, "2m")
    with mounted(folder, "-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        failed = site.run(stage, "small/output")
        told_in_one_line(failed, "No space left on device")
        assert not (folder / "output").exists()
        assert stage.resumes or leftovers(folder / "output") == []
    folder.rmdir()
    output = site.new_output()
    finished = site.run(stage, output)
    seconds = failed.seconds + finished.seconds
    tell(site, stage, "disk full", finished._replace(seconds=seconds))
    check(site, stage, output)


@pytest.mark.parametrize("stage", STAGES)
def test_an_output_that_cannot_be_written_is_told_in_one_line(site, stage):
    stage, folder = STAGES[stage], site.folder / "readonly"
    site.prepare(stage)
    with mounted(folder, "-t", "tmpfs", "-o", "ro", "tmpfs"):
        told_in_one_line(site.run(stage, "readonly/output"), "Read-only file system")
    folder.rmdir()


@pytest.mark.parametrize("stage", ["statistics", "training", "scoring"])
def test_a_task_that_stalls_is_done_by_a_copy_and_written_once(site, tell, stage):
    stage, output = STAGES[stage], site.new_output()
    site.prepare(stage)
    stalled = []

    def stall(_):
        stalled.extend(site.cluster.workers[0].python_workers()[:1])
        hit(signal.SIGSTOP, stalled)

    try:
        finished = site.run(stage, output, strike=stall, settings=SPECULATION)
        assert finished.status == 0, finished.application.text
        assert "event=retries tasks=" in finished.application.text, "no copy was started"
        tell(site, stage, "task stalled", finished)
        check(site, stage, output)
        before = everything(site.folder)
        send(signal.SIGCONT, stalled)
        gone(stalled, 10)
        assert everything(site.folder) == before
    finally:
        send(signal.SIGKILL, stalled)


def everything(folder):
    """All files of a folder, but for what MLflow keeps."""
    return {path for path in folder.rglob("*") if "ml" not in path.relative_to(folder).parts[0]}
