"""Which MLflow store, and which experiment in it; both are made on first use."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

__all__ = ["experiment_id", "opened_alone", "store_uri"]

_SQLITE = "sqlite:///"


def store_uri(given: str | None) -> str:
    """Store to use: the one given, the environment's, Databricks, or ``mlflow.db`` here.

    A SQLite store is told by its whole path, which means the same from any working folder.
    """
    uri = given or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        on_databricks = "DATABRICKS_RUNTIME_VERSION" in os.environ
        uri = "databricks" if on_databricks else f"{_SQLITE}mlflow.db"
    store = _sqlite_path(uri)
    return uri if store is None else f"{_SQLITE}{store}"


def experiment_id(client: MlflowClient, name: str, uri: str) -> str:
    """Id of experiment ``name`` in the store at ``uri``."""
    with opened_alone(uri):
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name, artifact_location=_artifacts_beside(uri)))
            except MlflowException:  # another job made it in between
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
    return str(found.experiment_id)


@contextmanager
def opened_alone(uri: str) -> Iterator[None]:
    """Keep other jobs out while a SQLite store is opened: two that make it at once clash."""
    store = _sqlite_path(uri)
    if store is None or not store.parent.is_dir():
        yield
        return
    with ExitStack() as stack:
        # A store that one may only read is made by nobody here, and needs no lock.
        with suppress(OSError):
            file = stack.enter_context(store.with_name(f".{store.name}.lock").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sqlite_path(uri: str) -> Path | None:
    return Path(uri.removeprefix(_SQLITE)).resolve() if uri.startswith(_SQLITE) else None


def _artifacts_beside(uri: str) -> str | None:
    """Folder ``mlartifacts`` beside a SQLite store; a server knows its own place."""
    store = _sqlite_path(uri)
    return None if store is None else (store.parent / "mlartifacts").as_uri()
