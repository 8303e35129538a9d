"""The ranks of a training, started by TorchDistributor: the one file that sees torch's and Spark.

What a rank runs is the script `deep.worker`, by its path: nothing is pickled, and torchrun or
another launcher can run the same script. On a cluster the package must be installed on every
machine at the same path, as a wheel in one environment is.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pyspark.sql import SparkSession
from tqdm import tqdm

from yt8m_spark.artifacts import load_json
from yt8m_spark.errors import InputError, RankError
from yt8m_spark.events import line_of

__all__ = ["Progress", "launch", "progress_of", "task_gpus"]

_WORKER = Path(__file__).parent / "worker.py"

# torchrun's report of the processes that ended badly, a block for each.
_FAILED = re.compile(r"rank\s*:\s*(\d+).*?\n\s*exitcode\s*:\s*(-?\d+)")
_REPORT = re.compile(r"[WE]\d{4} .*torch/distributed/elastic/")
_TOLD = re.compile(r"rank-\d+: error: ")  # by the worker, of input at fault
_GPUS = "spark.task.resource.gpu.amount"
# PySpark's own words before those of the ranks: pages of paths and options.
_COMMAND = re.compile(
    r"Command \[[^\n]*?\] failed with return code (-?\d+)\.(?:[^\n]*? included below: )?"
)


class Progress(NamedTuple):
    """How far a training has come."""

    epoch: int  # from 1; 0 before the first step
    step: int  # steps done of this epoch
    loss: float


class _Relay(io.TextIOBase):
    """In place of stdout or stderr: what ranks print goes to the stderr that there was.

    All but the pages in which torchrun tells that a rank has failed, which are kept: the rank has
    told it already, and `_reason` tells it in one line. Parts of lines, as bars are, pass at once.
    """

    def __init__(self) -> None:
        self._out = sys.stderr
        self._rulers_due = 0  # a report has one above and one below
        self._report: list[str] = []

    @property
    def report(self) -> str:
        """What torchrun told of ranks that failed."""
        return "\n".join(self._report)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the stderr that there was."""
        return self._out.encoding

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return self._out.isatty()

    def flush(self) -> None:
        """Have all that was written seen."""
        self._out.flush()

    def write(self, text: str) -> int:
        """Take whole lines, or a part of one."""
        if "\r" in text or not text.endswith("\n") or text == "\n":
            return self._out.write(text)
        for line in text.splitlines():
            if not self._keeps(line):
                tqdm.write(line_of(line), file=self._out)
        return len(text)

    def _keeps(self, line: str) -> bool:
        """Whether ``line`` is not for people."""
        ours = bool(_REPORT.match(line)) or self._rulers_due > 0
        if ours:
            self._report.append(line)
            self._rulers_due += 2 * bool(_REPORT.match(line) and "failed (exitcode" in line)
            self._rulers_due -= line.startswith("=====")
        return ours or bool(_TOLD.match(line))


class _Failure(NamedTuple):
    """What a rank wrote of its end."""

    rank: int
    kind: str  # "input", "other", or "peer": another rank had ended
    message: str


def launch(
    spark: SparkSession,
    training_file: str,
    *,
    n_processes: int,
    mode: str = "local",
    use_gpu: bool = False,
    resume: bool = False,
) -> None:
    """Run the training of ``training_file`` in ``n_processes`` ranks and wait for its end.

    Parameters
    ----------
    spark : SparkSession
        Classic or Spark Connect; must be the active one.
    training_file : str
        Of `deep.training.save_training`, in the folder of the training, which all ranks must see.
    n_processes : int
        Ranks; with GPUs, one each.
    mode : str
        "local": processes of this machine, with or without GPUs, whatever Spark knows of them.
        "spark": barrier tasks of the cluster, a rank each; it must have that many slots at once.
    use_gpu : bool
        In mode "spark", give each task the GPUs that Spark has for it. In mode "local" the ranks
        choose their devices themselves.
    resume : bool
        Go on from the newest checkpoint, if there is one.

    Raises
    ------
    InputError
        If a rank found the input at fault, or the cluster has no GPUs for tasks.
    RankError
        If a rank died: at once and with all others, within seconds.

    Notes
    -----
    What ranks print goes to stderr. Spark runs a failed barrier stage again where its settings
    say so; the ranks then go on from their newest checkpoint.
    """
    folder = Path(training_file).parent
    shutil.rmtree(folder / "errors", ignore_errors=True)
    on_spark = mode == "spark"
    if on_spark and use_gpu and task_gpus(spark) < 1:
        expected = f"{_GPUS} of 1, or --device cpu"
        raise InputError("the cluster has no GPU for a task", expected=expected)
    arguments = [training_file, *(["--resume"] if resume or on_spark else [])]
    relay = _Relay()
    try:
        _run(arguments, relay, n_processes, on_spark=on_spark, use_gpu=on_spark and use_gpu)
    except Exception as error:
        raise _reason(folder, n_processes, f"{relay.report}\n{error}") from error
    # PySpark's wrapper of torchrun ends well however torchrun does.
    if not _is_complete(folder):
        raise _reason(folder, n_processes, relay.report)


def _run(
    arguments: list[str], relay: _Relay, n_processes: int, *, on_spark: bool, use_gpu: bool
) -> None:
    """Run the ranks; what they print goes through ``relay``."""
    # Imported here: PySpark's torch module takes a second, and a cluster may lack what it imports.
    from pyspark.ml.torch.distributor import TorchDistributor

    distributor = TorchDistributor(
        num_processes=n_processes, local_mode=not on_spark, use_gpu=use_gpu
    )
    distributor.logger.setLevel(logging.WARNING)
    # From tasks, lines come to stderr by a thread of PySpark's.
    errors = contextlib.redirect_stderr(relay) if on_spark else contextlib.nullcontext()
    with contextlib.redirect_stdout(relay), errors:
        distributor.run(str(_WORKER), *arguments)


def progress_of(folder: str | Path) -> Progress | None:
    """How far the training in ``folder`` has come, by the last line of its log; None if unknown."""
    path = Path(folder) / "steps.jsonl"
    with contextlib.suppress(OSError):
        for line in reversed(path.read_text().splitlines()):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                told: dict[str, Any] = json.loads(line)
                return Progress(int(told["epoch"]), int(told["step"]), float(told["loss"]))
    return None


def task_gpus(spark: SparkSession) -> int:
    """GPUs that Spark has for each task."""
    return int(float(spark.conf.get(_GPUS, "0") or 0))


def _is_complete(folder: Path) -> bool:
    """Whether the last pass has left its model, and no rank an error."""
    n_epochs = int(load_json(folder / "training.json")["epochs"])
    done = [int(path.parent.name) for path in (folder / "epochs").glob("[0-9]*/model.json")]
    return max(done, default=0) >= n_epochs and not any(_failures(folder))


def _reason(folder: Path, n_processes: int, report: str) -> Exception:
    """What to raise for a launch that failed with torchrun's ``report``."""
    failures = sorted(_failures(folder), key=lambda failure: failure.kind == "peer")
    of_input = [failure for failure in failures if failure.kind == "input"]
    if of_input:
        return InputError(of_input[0].message)
    killed = [(int(rank), -int(code)) for rank, code in _FAILED.findall(report) if int(code) < 0]
    # The launcher itself ends the others by SIGTERM: they are no cause.
    causes = [one for one in killed if one[1] != signal.SIGTERM] or ([] if failures else killed)
    if causes:
        rank, number = causes[0]
        return _died(folder, f"rank {rank} of {n_processes} was killed by {_name(number)}")
    silent = sorted(set(range(n_processes)) - {failure.rank for failure in failures})
    if failures and silent and failures[0].kind == "peer":
        return _died(folder, f"rank {silent[0]} of {n_processes} ended without a word")
    if failures:
        rank, _, message = failures[0]
        return _died(folder, f"rank {rank} of {n_processes} failed: {message}")
    told = _COMMAND.sub(lambda found: f"{_launcher_end(int(found.group(1)))}\n", report)
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return _died(folder, f"the ranks could not be run: {lines[-1] if lines else 'no reason told'}")


def _failures(folder: Path) -> Iterator[_Failure]:
    for path in sorted((folder / "errors").glob("rank-*.json")):
        with contextlib.suppress(InputError, KeyError, ValueError):
            told = load_json(path)
            rank = int(path.stem.removeprefix("rank-"))
            yield _Failure(rank, str(told["kind"]), " ".join(str(told["message"]).split()))


def _died(folder: Path, what: str) -> RankError:
    progress = progress_of(folder)
    stood = "before the first step" if progress is None else _place(progress)
    return RankError(f"{what} {stood}")


def _place(progress: Progress) -> str:
    return f"in epoch {progress.epoch}, after step {progress.step} (loss {progress.loss:.4g})"


def _launcher_end(status: int) -> str:
    killed = f"was killed by {_name(-status)}"
    return f"the launcher {killed if status < 0 else f'ended with status {status}'}"


def _name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} (out of memory?)" if name == "SIGKILL" else name
