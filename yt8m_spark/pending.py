"""What an MLflow server did not take, in a local folder, and sending it later.

    python -m yt8m_spark.pending mlflow_pending/RUN_ID     one run, or
    python -m yt8m_spark.pending mlflow_pending            all that wait there

The folder of a run holds ``run.json``, ``entries.jsonl`` (a line an entry, in order) and ``files``.
It may be sent as often as one likes: what was sent is noted after each entry.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.errors import InputError
from yt8m_spark.experiments import experiment_id, store_uri
from yt8m_spark.masking import MASK, masked
from yt8m_spark.tracking_entries import Entry, send_entry
from yt8m_spark.tracking_server import UnansweredError, reason, server_at

__all__ = ["MARK", "NewRun", "PendingRun", "make_run", "send_folder"]

_RUN, _ENTRIES, _FILES = "run.json", "entries.jsonl", "files"
MARK = "yt8m_spark.mark"  # tag by which a run that may have been made is found again


class NewRun(NamedTuple):
    """A run that the server has not made yet."""

    name: str
    experiment: str
    tags: dict[str, str]
    start_time: int  # milliseconds
    mark: str  # unique, and one of the tags


class PendingRun:
    """Entries of one run that wait in ``folder``, which is made with the first."""

    def __init__(self, folder: Path, uri: str, run_id: str | None, new: NewRun | None = None):
        self.folder = folder
        self._first: dict[str, Any] = {
            "tracking_uri": masked(uri),
            "run_id": run_id,
            "new": new and new._asdict(),
            "n_sent": 0,
        }

    @classmethod
    def at(cls, folder: Path) -> PendingRun:
        """What waits in a folder that is there.

        Raises
        ------
        InputError
            If it holds no run.
        """
        described = load_json(folder / _RUN)
        if not {"tracking_uri", "run_id", "new", "n_sent"} <= described.keys():
            raise InputError("not the description of a run", where=str(folder / _RUN))
        return cls(folder, described["tracking_uri"], described["run_id"])

    @property
    def tracking_uri(self) -> str:
        """Store that the run belongs to, its password masked."""
        return str(self._described()["tracking_uri"])

    @property
    def n_waiting(self) -> int:
        """Entries that were not sent yet."""
        return len(self._entries()) - self._described()["n_sent"] if self.folder.exists() else 0

    def keep(self, entry: Entry) -> None:
        """Write ``entry`` and copies of its files behind what waits already."""
        if not self.folder.exists():
            save_json(self.folder / _RUN, self._first)
        files = self.folder / _FILES / f"{len(self._entries()):06d}"
        shutil.rmtree(files, ignore_errors=True)  # of an entry that could not be kept
        kept = {name: _copy(path, files / name) for name, path in entry.get("files", {}).items()}
        relative = {name: str(path.relative_to(self.folder)) for name, path in kept.items()}
        line = json.dumps(entry | {"files": relative} if relative else entry)
        with (self.folder / _ENTRIES).open("a") as file:
            file.write(line + "\n")
            file.flush()
            with suppress(OSError):  # a file system that cannot
                os.fsync(file.fileno())

    def send(self, client: MlflowClient, uri: str) -> str:
        """Send what waits, in order; the run's id. Goes on where it stopped if called again."""
        with _alone(self.folder):
            described = self._described()
            if described["run_id"] is None:
                new = NewRun(**described["new"])
                described["run_id"] = _find_run(client, new, uri) or make_run(client, new, uri)
                save_json(self.folder / _RUN, described)
            for entry in self._entries()[described["n_sent"] :]:
                send_entry(client, described["run_id"], entry, self.folder)
                described["n_sent"] += 1
                save_json(self.folder / _RUN, described)
            # The lines stay, for whoever sends the folder again.
            shutil.rmtree(self.folder / _FILES, ignore_errors=True)
        return str(described["run_id"])

    def discard(self) -> None:
        """Remove the folder, and the one around it if it is empty."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def _described(self) -> dict[str, Any]:
        path = self.folder / _RUN
        return load_json(path) if path.exists() else dict(self._first)

    def _entries(self) -> list[Entry]:
        """Entries in order; a last line that was cut short, as the disk was full, is none."""
        path = self.folder / _ENTRIES
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]


def send_folder(folder: str, uri: str | None = None) -> list[str]:
    """Send what waits in ``folder``, of a run or of several; ids of the runs that are whole now.

    ``uri`` is the store, by default the one that the folder names, or, if that has a password,
    ``MLFLOW_TRACKING_URI``.

    Raises
    ------
    InputError
        If nothing is in ``folder``, or the store cannot be reached or refuses.
    """
    root = Path(folder)
    found = (
        [root]
        if (root / _RUN).exists()
        else sorted(path.parent for path in root.glob("*/run.json"))
    )
    if not found:
        raise InputError("no run waits here", where=folder, expected="a folder with run.json")
    return [_send_one(PendingRun.at(path), uri) for path in found]


def _send_one(pending: PendingRun, uri: str | None) -> str:
    named = pending.tracking_uri
    if uri is None and MASK in named and "MLFLOW_TRACKING_URI" not in os.environ:
        expected = "--tracking-uri or MLFLOW_TRACKING_URI"
        raise InputError("the password of the store was not kept", where=named, expected=expected)
    server = server_at(store_uri(uri or (None if MASK in named else named)))
    waiting = pending.n_waiting
    try:
        run_id = server.ask(lambda client: pending.send(client, server.uri), large=True)
    except (UnansweredError, MlflowException) as error:
        n_left = pending.n_waiting
        what = f"{n_left} entries of {pending.folder} still wait: MLflow does not take them"
        raise InputError(what, where=masked(server.uri), found=reason(error)) from error
    print(f"{pending.folder}: {waiting} entries sent to run {run_id}", file=sys.stderr)
    return run_id


def make_run(client: MlflowClient, new: NewRun, uri: str) -> str:
    """Make the run and give its id."""
    experiment = experiment_id(client, new.experiment, uri)
    run = client.create_run(experiment, new.start_time, new.tags, run_name=new.name)
    return str(run.info.run_id)


def _find_run(client: MlflowClient, new: NewRun, uri: str) -> str | None:
    """Id of the run if it was made already, by a request whose answer was lost."""
    experiment = experiment_id(client, new.experiment, uri)
    found = client.search_runs([experiment], f"tags.`{MARK}` = '{new.mark}'", max_results=1)
    return str(found[0].info.run_id) if found else None


def _copy(path: str, folder: Path) -> Path:
    """Copy of a file or folder, of the same name, in ``folder``."""
    source = Path(path)
    target = folder / source.name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        folder.mkdir(parents=True)
        shutil.copyfile(source, target)
    return target


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second sender out until this one is done, where the file system has locks."""
    with (folder / ".lock").open("w") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(argv: Sequence[str] | None = None) -> int:
    """Send what waits in a folder; exit status 2, and one line, if it cannot be sent."""
    parser = argparse.ArgumentParser(prog="python -m yt8m_spark.pending", description=__doc__)
    parser.add_argument("folder", help="of a run, or of several runs")
    parser.add_argument("--tracking-uri", help="MLflow store (default: the run's own)")
    given = parser.parse_args(argv)
    try:
        send_folder(given.folder, given.tracking_uri)
    except InputError as error:
        print(f"pending: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
