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

from yt8m_spark.artifacts import save_json
from yt8m_spark.errors import InputError
from yt8m_spark.experiments import experiment_id, store_uri
from yt8m_spark.formats.inner_names import file_inside
from yt8m_spark.masking import MASK, masked
from yt8m_spark.tracking_checks import read_entries, read_run
from yt8m_spark.tracking_entries import Entry, send_entry
from yt8m_spark.tracking_server import UnansweredError, reason, server_at

__all__ = ["MARK", "NewRun", "PendingRun", "find_or_make_run", "make_run", "send_folder"]

_RUN, _ENTRIES, _FILES = "run.json", "entries.jsonl", "files"
_NEWLINE = b"\n"
MARK = "yt8m_spark.mark"  # tag by which a run that may have been made is found again


class NewRun(NamedTuple):
    """A run that the server has not made yet."""

    name: str
    experiment: str
    tags: dict[str, str]
    start_time: int  # milliseconds
    mark: str  # unique, and one of the tags


class PendingRun:
    """Entries of one run that wait in ``folder``, which is made with the first.

    ``n_waiting`` of them were not sent yet.
    """

    def __init__(self, folder: Path, uri: str, run_id: str | None, new: NewRun | None = None):
        self.folder = folder
        self.n_waiting = 0  # not read from the folder: a disk that fails must not stop a job
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
            If it holds no run, or one whose files are damaged.
        """
        described = read_run(folder / _RUN)
        found = cls(folder, described["tracking_uri"], described["run_id"])
        found.n_waiting = len(found._unsent(described["n_sent"]))
        return found

    @property
    def tracking_uri(self) -> str:
        """Store that the run belongs to, its password masked."""
        return str(self._first["tracking_uri"])

    @property
    def is_cut_short(self) -> bool:
        """Whether the last line is half an entry, as the disk was full; that one is lost."""
        return not (self.folder / _ENTRIES).read_bytes().endswith(b"\n")

    def keep(self, entry: Entry) -> None:
        """Write ``entry`` and copies of its files behind what waits already.

        Raises
        ------
        OSError
            If they cannot be written; then what waits already is as it was.
        """
        try:
            self._write(entry)
        except OSError:
            with suppress(OSError):
                if not _cut_back(self.folder / _ENTRIES):
                    self.discard()  # it would be sent as a run of nothing
            raise
        self.n_waiting += 1

    def send(self, client: MlflowClient, uri: str) -> str:
        """Send what waits, in order; the run's id. Goes on where it stopped if called again.

        Raises
        ------
        InputError
            If the folder is damaged; then nothing is sent.
        """
        with _alone(self.folder):
            described = read_run(self.folder / _RUN)
            unsent = self._unsent(described["n_sent"])
            if described["run_id"] is None:
                new = NewRun(**described["new"])
                described["run_id"] = find_or_make_run(client, new, uri)
                save_json(self.folder / _RUN, described)
            self.n_waiting = len(unsent)
            for entry in unsent:
                send_entry(client, described["run_id"], entry, self.folder)
                described["n_sent"] += 1
                save_json(self.folder / _RUN, described)
                self.n_waiting -= 1
            # The lines stay, for whoever sends the folder again.
            shutil.rmtree(self.folder / _FILES, ignore_errors=True)
        return str(described["run_id"])

    def discard(self) -> None:
        """Remove the folder, and the one around it if it is empty."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def _write(self, entry: Entry) -> None:
        if not os.path.exists(self.folder / _RUN):
            save_json(self.folder / _RUN, self._first)
        whole = _cut_back(self.folder / _ENTRIES)
        files = self.folder / _FILES / f"{whole.count(_NEWLINE):06d}"
        shutil.rmtree(files, ignore_errors=True)  # of an entry that could not be kept
        try:
            given = entry.get("files", {})
            kept = {name: _copy(path, files / name) for name, path in given.items()}
            relative = {name: str(path.relative_to(self.folder)) for name, path in kept.items()}
            line = json.dumps(entry | {"files": relative} if relative else entry)
            _append(self.folder / _ENTRIES, line.encode() + _NEWLINE)
        except OSError:
            shutil.rmtree(files, ignore_errors=True)  # room for entries that are smaller
            with suppress(OSError):
                os.truncate(self.folder / _ENTRIES, len(whole))
            raise

    def _unsent(self, n_sent: int) -> list[Entry]:
        """Entries behind the first ``n_sent``, in order; half a line at the end is none."""
        path = self.folder / _ENTRIES
        entries = read_entries(path)
        if n_sent > len(entries):
            expected = f"at least the {n_sent} that were sent"
            raise InputError("entries are missing", where=str(path), expected=expected)
        for entry in entries[n_sent:]:
            for name in entry.get("files", {}).values():
                if not file_inside(self.folder, name, str(path)).exists():
                    raise InputError("no such file", where=str(self.folder / name))
        return entries[n_sent:]


def send_folder(folder: str, uri: str | None = None) -> list[str]:
    """Send what waits in ``folder``, of a run or of several; ids of the runs that are whole now.

    ``uri`` is the store, by default the one that the folder names, or, if that has a password,
    ``MLFLOW_TRACKING_URI``.

    What is damaged, or not taken, is told on stderr and does not keep back the runs beside it.

    Raises
    ------
    InputError
        If nothing is in ``folder``, or, at the end, if a run of it could not be sent.
    """
    root = Path(folder)
    found = [root] if _holds_run(root) else sorted(filter(_holds_run, root.glob("*")))
    if not found:
        raise InputError("no run waits here", where=folder, expected="a folder with run.json")
    sent: list[str] = []
    for path in found:
        try:
            sent.append(_send_one(PendingRun.at(path), uri))
        except InputError as error:
            if len(found) == 1:
                raise
            print(f"pending: error: {error}", file=sys.stderr)
    if len(sent) < len(found):
        what = f"{len(found) - len(sent)} of {len(found)} runs were not sent"
        raise InputError(what, where=folder)
    return sent


def _holds_run(folder: Path) -> bool:
    """Whether a run waits in ``folder``, or what is left of one."""
    return (folder / _RUN).exists() or (folder / _ENTRIES).exists()


def _send_one(pending: PendingRun, uri: str | None) -> str:
    named = pending.tracking_uri
    if uri is None and MASK in named and "MLFLOW_TRACKING_URI" not in os.environ:
        expected = "--tracking-uri or MLFLOW_TRACKING_URI"
        raise InputError("the password of the store was not kept", where=named, expected=expected)
    store = store_uri(uri or (None if MASK in named else named))
    waiting = pending.n_waiting
    server = server_at(store)
    try:
        run_id = server.ask(lambda client: pending.send(client, store), large=True)
    except (UnansweredError, MlflowException) as error:
        what = f"{pending.n_waiting} entries of {pending.folder} still wait: "
        what += "MLflow does not take them"
        raise InputError(what, where=masked(store), found=reason(error)) from error
    lost = "; the last line, which was cut short, is lost" if pending.is_cut_short else ""
    print(f"{pending.folder}: {waiting} entries sent to run {run_id}{lost}", file=sys.stderr)
    return run_id


def make_run(client: MlflowClient, new: NewRun, uri: str) -> str:
    """Make the run and give its id."""
    experiment = experiment_id(client, new.experiment, uri)
    run = client.create_run(experiment, new.start_time, new.tags, run_name=new.name)
    return str(run.info.run_id)


def find_or_make_run(client: MlflowClient, new: NewRun, uri: str) -> str:
    """Id of the run, which a request whose answer was lost may have made already."""
    experiment = experiment_id(client, new.experiment, uri)
    found = client.search_runs([experiment], f"tags.`{MARK}` = '{new.mark}'", max_results=1)
    return str(found[0].info.run_id) if found else make_run(client, new, uri)


def _cut_back(path: Path) -> bytes:
    """Whole lines of ``path``; half a line behind them, which could not be written, goes."""
    if not path.exists():
        return b""
    held = path.read_bytes()
    whole = held[: held.rfind(_NEWLINE) + 1]
    if len(whole) < len(held):
        os.truncate(path, len(whole))
    return whole


def _append(path: Path, line: bytes) -> None:
    with path.open("ab") as file:
        file.write(line)
        file.flush()
        with suppress(OSError):  # a file system that cannot
            os.fsync(file.fileno())


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
    """Send what waits in a folder; exit status 2, and a line for each, if some cannot be sent."""
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
