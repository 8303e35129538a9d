"""MLflow: one run a job, or one parent run with a child for each recipe.

A server that goes away while a job is at work does not stop it: what is logged then is kept in a
local folder (see `yt8m_spark.pending`) and sent as soon as the server answers again.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient

from yt8m_spark.events import note
from yt8m_spark.experiments import store_uri
from yt8m_spark.masking import masked
from yt8m_spark.pending import NewRun, PendingRun, find_or_make_run
from yt8m_spark.tracking_entries import (
    MAX_PARAM,
    Entry,
    artifact_entry,
    end_entry,
    inputs_entry,
    metrics_entry,
    params_entry,
    send_entry,
    tags_entry,
)
from yt8m_spark.tracking_server import Server, UnansweredError, server_at
from yt8m_spark.tracking_start import made_run, new_run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TrackedRun", "tracked_run"]

_PENDING = "mlflow_pending"


class TrackedRun:
    """One MLflow run under way.

    Each method sends what it is given, or keeps it if the server does not answer; then it costs no
    more waiting than a tenth of the time.
    """

    def __init__(self, server: Server, root: Path, new: NewRun, run_id: str | None) -> None:
        self._server = server
        # A run that the server has not made yet goes by the mark that will find it again.
        self.run_id = run_id or new.mark
        self._unmade = new if run_id is None else None
        self.root = root
        self._pending = PendingRun(root / self.run_id, server.uri, run_id, new)

    @property
    def client(self) -> MlflowClient:
        """Client of the store of this run."""
        return self._server.client

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Log named figures."""
        self.log_entry(metrics_entry([(name, value, step) for name, value in metrics.items()]))

    def log_curve(self, name: str, values: Sequence[float]) -> None:
        """Log figure ``name`` as it was after each pass, counted from 1."""
        self.log_entry(metrics_entry([(name, v, step) for step, v in enumerate(values, start=1)]))

    def log_params(self, params: Mapping[str, str]) -> None:
        """Log options, passwords in them masked.

        If one is longer than MLflow keeps, all of them are logged whole as ``params.json``, too.
        """
        named = {key: masked(value) for key, value in params.items()}
        self.log_entry(params_entry(named))
        if any(len(value) > MAX_PARAM for value in named.values()):
            self.log_text(json.dumps(named, indent=2), "params.json")

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Log tags, passwords in them masked."""
        self.log_entry(tags_entry({key: masked(value) for key, value in tags.items()}))

    def log_inputs(self, datasets: Sequence[Mapping[str, str | None]]) -> None:
        """Log the data that the run reads (see `yt8m_spark.datasets`)."""
        self.log_entry(inputs_entry(datasets))

    def log_table(self, table: pd.DataFrame, name: str) -> None:
        """Log ``table``, one row an entity or a recipe, as artifact ``name`` (.json)."""
        # As MLflow's own log_table writes it, which adds to a table of that name that is there.
        text = table.to_json(orient="split", index=False, date_format="iso")
        self._log_text(text, name, is_table=True)

    def log_text(self, text: str, name: str) -> None:
        """Log ``text`` as artifact ``name``."""
        self._log_text(text, name, is_table=False)

    def log_file(self, path: str, folder: str | None = None) -> None:
        """Log a copy of the file or folder ``path``, in ``folder`` of the artifacts if given."""
        self.log_entry(artifact_entry(path, folder))

    def log_contents(self, path: str, folder: str | None = None) -> None:
        """Log copies of all that is in the folder ``path``, in ``folder`` of the artifacts."""
        for child in sorted(Path(path).iterdir()):
            self.log_file(str(child), folder)

    def log_entry(self, entry: Entry) -> Any:
        """Send ``entry``, or keep it; gives what sending it gave, None if it was kept.

        Raises
        ------
        FileNotFoundError
            If a file of it is not there.
        MlflowException
            If the entry itself is wrong.
        """
        for path in entry.get("files", {}).values():
            Path(path).stat()
        server = self._server
        with server.lock:
            _send_waiting(server)
            if server.may_answer and not self._pending.n_waiting:
                try:
                    return server.ask(
                        lambda client: send_entry(client, self.run_id, entry, Path()),
                        large="files" in entry,
                    )
                except UnansweredError as error:
                    _tell(server, f"does not answer ({error}): what is logged is kept meanwhile")
            self._keep(entry)
        return None

    def send(self) -> None:
        """Send what waits, if it could be kept; see `PendingRun.send` for what it may raise."""
        if self._pending.n_waiting:
            self.run_id = self._pending.send(self.client, self._server.uri)
            self._pending.discard()
        elif self._unmade:  # and nothing of it could be kept
            self.run_id = find_or_make_run(self.client, self._unmade, self._server.uri)
        self._unmade = None

    @property
    def n_waiting(self) -> int:
        """Entries that are kept."""
        return self._pending.n_waiting

    def _keep(self, entry: Entry) -> None:
        waiting = _waiting.setdefault(self._server.uri, [])
        if self not in waiting:
            waiting.append(self)
        try:
            self._pending.keep(entry)
        except OSError as error:
            _lost.setdefault(self._server.uri, []).append(entry["kind"])
            what = f"cannot keep it in {self._pending.folder}: {entry['kind']} is lost ({error})"
            _tell(self._server, f"does not answer, and this job {what}")

    def _log_text(self, text: str, name: str, *, is_table: bool) -> None:
        folder, _, file = name.rpartition("/")
        with tempfile.TemporaryDirectory(prefix="yt8m_spark-") as temporary:
            path = Path(temporary) / file
            path.write_text(text, encoding="utf-8")
            self.log_entry(artifact_entry(str(path), folder or None, is_table=is_table))


# By store, runs of this process whose entries wait, and kinds of entries that could not be kept;
# and the runs that are open.
_waiting: dict[str, list[TrackedRun]] = {}
_lost: dict[str, list[str]] = {}
_open: dict[str, TrackedRun] = {}


@contextmanager
def tracked_run(
    name: str,
    params: Mapping[str, str],
    *,
    uri: str | None = None,
    experiment: str = "yt8m_spark",
    parent_run_id: str | None = None,
    pending: str = _PENDING,
) -> Iterator[TrackedRun]:
    """Open an MLflow run that ends as FINISHED, or as FAILED if the body raises.

    Parameters
    ----------
    name : str
    params : mapping of str
        The whole config.
    uri : str, optional
        Store; by default ``MLFLOW_TRACKING_URI``, then Databricks where the job runs there, then
        ``mlflow.db`` in the working folder, which ``mlflow ui`` shows.
    experiment : str
        Made if it is not there.
    parent_run_id : str, optional
        Of a `tracked_run` that is open: this one is nested in it, and is opened even if the server
        is away by now.
    pending : str
        Folder for what cannot be sent; a nested run takes its parent's.

    Raises
    ------
    InputError
        If the store at ``uri`` cannot be opened.
    """
    parent = _open.get(parent_run_id) if parent_run_id else None
    new = new_run(name, experiment, parent_run_id)
    server = server_at(store_uri(uri))
    run_id = made_run(server, new, may_wait=parent is not None)
    run = TrackedRun(server, parent.root if parent else Path(pending).resolve(), new, run_id)
    given = run.run_id
    _open[given] = run
    status = "FAILED"
    try:
        if run_id is None:
            run.log_tags(new.tags)  # so that the run comes to be, whatever is logged
        run.log_params(params)
        yield run
        status = "FINISHED"
    finally:
        del _open[given]
        run.log_entry(end_entry(status))
        if parent is None:
            _send_waiting(server, at_the_end=True)
            _tell_what_waits(server)


def _send_waiting(server: Server, *, at_the_end: bool = False) -> None:
    """Send what waits in this process, if the server may answer; whatever happens, go on."""
    waiting = _waiting.get(server.uri, [])
    if not waiting or not (at_the_end or server.may_answer):
        return
    with suppress(UnansweredError):
        if server.away is not None:  # a request that is soon over: the next ones may be large
            server.ask(lambda client: client.search_experiments(max_results=1))
        n_kept = sum(run.n_waiting for run in waiting)
        while waiting:
            server.ask(lambda _: waiting[0].send(), large=True, forgiving=True)
            waiting.pop(0)
        kept = "what was kept is sent" if n_kept else "nothing was kept"
        _tell(server, f"answers again: {kept}{_what_is_lost(server)}")


def _tell_what_waits(server: Server) -> None:
    """Say on stderr, at the end of a job, what was not sent and how to send it."""
    waiting = _waiting.pop(server.uri, [])
    n_entries = sum(run.n_waiting for run in waiting)
    lost = _what_is_lost(server)
    if not n_entries:
        if lost:
            _tell(server, f"does not answer ({server.away}){lost}")
        return
    folders = {str(run.root / run.run_id) for run in waiting}
    folder = shlex.quote(folders.pop() if len(folders) == 1 else str(waiting[0].root))
    _tell(
        server,
        f"did not take {n_entries} entries of {len(waiting)} run(s) ({server.away}); "
        f"they are kept in {folder}: send them with  python -m yt8m_spark.pending {folder}{lost}",
    )


def _what_is_lost(server: Server) -> str:
    """Text on entries that could be neither sent nor kept, told once; empty if there are none."""
    kinds = _lost.pop(server.uri, [])
    return f"; {len(kinds)} entries are lost ({', '.join(kinds)})" if kinds else ""


def _tell(server: Server, what: str) -> None:
    event = "mlflow_answers" if server.away is None else "mlflow_unreachable"
    note(f"MLflow at {server.uri} {what}", event=event)
