"""The start of an MLflow run: it is made, or waits to be."""

from __future__ import annotations

import uuid

from mlflow.exceptions import MlflowException

from yt8m_spark.pending import MARK, NewRun, make_run
from yt8m_spark.tracking_entries import now_ms
from yt8m_spark.tracking_server import Server, UnansweredError, cannot_open

__all__ = ["PARENT_RUN", "made_run", "new_run"]

PARENT_RUN = "mlflow.parentRunId"  # tag of a nested run


def new_run(name: str, experiment: str, parent_run_id: str | None) -> NewRun:
    """A run that begins now, not made yet."""
    mark = uuid.uuid4().hex
    tags = {"mlflow.runName": name, "mlflow.source.name": "yt8m_spark"}
    if parent_run_id:  # only such a run may be made later than it begins
        tags |= {PARENT_RUN: parent_run_id, MARK: mark}
    return NewRun(name, experiment, tags, now_ms(), mark)


def made_run(server: Server, new: NewRun, *, may_wait: bool) -> str | None:
    """Make the run and give its id; None if the server is away and the run ``may_wait``.

    Raises
    ------
    InputError
        If the store refuses, or is away and the run may not wait.
    """
    if may_wait and not server.may_answer:
        return None
    try:
        return server.ask(lambda client: make_run(client, new, server.uri))
    except UnansweredError as error:
        if may_wait:
            return None
        raise cannot_open(server.uri, error) from error
    except MlflowException as error:
        raise cannot_open(server.uri, error) from error
