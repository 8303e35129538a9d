"""MLflow: one run a job, or one parent run with a child for each recipe."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from yt8m_spark.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TrackedRun", "tracked_run"]

_MAX_PARAM = 6000  # characters MLflow keeps of one parameter
_PARENT = "mlflow.parentRunId"

# The first use of a new store tells of every table it makes.
logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow").setLevel(logging.WARNING)


@dataclass(frozen=True)
class TrackedRun:
    """One MLflow run under way."""

    run_id: str
    client: MlflowClient

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Log named figures."""
        now = int(time.time() * 1000)
        figures = [Metric(name, float(value), now, step) for name, value in metrics.items()]
        self.client.log_batch(self.run_id, metrics=figures)

    def log_curve(self, name: str, values: Sequence[float]) -> None:
        """Log figure ``name`` as it was after each pass, counted from 1."""
        now = int(time.time() * 1000)
        figures = [Metric(name, float(v), now, step) for step, v in enumerate(values, start=1)]
        self.client.log_batch(self.run_id, metrics=figures)

    def log_table(self, table: pd.DataFrame, name: str) -> None:
        """Log ``table``, one row an entity or a recipe, as artifact ``name`` (.json)."""
        self.client.log_table(self.run_id, table, name)

    def log_text(self, text: str, name: str) -> None:
        """Log ``text`` as artifact ``name``."""
        self.client.log_text(self.run_id, text, name)

    def log_file(self, path: str, folder: str | None = None) -> None:
        """Log a copy of the file ``path``, in ``folder`` of the artifacts if given."""
        self.client.log_artifact(self.run_id, path, folder)


@contextmanager
def tracked_run(
    name: str,
    params: Mapping[str, str],
    *,
    uri: str | None = None,
    experiment: str = "yt8m_spark",
    parent_run_id: str | None = None,
) -> Iterator[TrackedRun]:
    """Open an MLflow run that ends as FINISHED, or as FAILED if the body raises.

    ``uri`` defaults to ``MLFLOW_TRACKING_URI``, then to Databricks where the job runs there, then
    to ``mlflow.db`` in the working folder, which ``mlflow ui`` shows.

    Raises
    ------
    InputError
        If the store at ``uri`` cannot be opened.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or _default_uri()
    tags = {"mlflow.runName": name, "mlflow.source.name": "yt8m_spark"}
    if parent_run_id:
        tags[_PARENT] = parent_run_id
    try:
        with _opened_alone(uri):
            client = MlflowClient(tracking_uri=uri)
            experiment_id = _experiment_id(client, experiment, uri)
        run = client.create_run(experiment_id, run_name=name, tags=tags)
    except MlflowException as error:
        raise InputError("cannot open MLflow store", where=uri, found=error) from error
    tracked = TrackedRun(run.info.run_id, client)
    status = "FAILED"
    try:
        kept = [Param(key, value[:_MAX_PARAM]) for key, value in params.items()]
        client.log_batch(tracked.run_id, params=kept)
        yield tracked
        status = "FINISHED"
    finally:
        client.set_terminated(tracked.run_id, status)


def _default_uri() -> str:
    return "databricks" if "DATABRICKS_RUNTIME_VERSION" in os.environ else "sqlite:///mlflow.db"


@contextmanager
def _opened_alone(uri: str) -> Iterator[None]:
    """Keep other jobs out while a SQLite store is opened: two that make it at once clash."""
    store = _sqlite_path(uri)
    if store is None or not store.parent.is_dir():
        yield
        return
    with store.with_name(f".{store.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sqlite_path(uri: str) -> Path | None:
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)).resolve() if uri.startswith(prefix) else None


def _experiment_id(client: MlflowClient, name: str, uri: str) -> str:
    """Id of experiment ``name``, made on first use."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=_artifacts_beside(uri)))
        except MlflowException:  # another job made it in between
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _artifacts_beside(uri: str) -> str | None:
    """Folder ``mlartifacts`` beside a SQLite store; a server knows its own place."""
    store = _sqlite_path(uri)
    return None if store is None else (store.parent / "mlartifacts").as_uri()
