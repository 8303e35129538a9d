"""What can be logged to a run, as values that fit in a line of JSON, and how each is sent.

An entry names its ``kind``; files that belong to it are paths in ``files``, relative to the folder
that they are kept in, or absolute. Sending one twice changes nothing: figures carry the time they
were logged at, and stores know each of them once. A model alone is logged again, if the answer to
its first sending was lost.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

__all__ = [
    "MAX_PARAM",
    "Entry",
    "artifact_entry",
    "end_entry",
    "inputs_entry",
    "metrics_entry",
    "now_ms",
    "params_entry",
    "send_entry",
    "tags_entry",
]

Entry = dict[str, Any]
T = TypeVar("T")

# What one request may hold.
_METRICS, _PARAMS, _INPUTS = 1000, 100, 1000
MAX_PARAM = 6000  # characters of a parameter
_MAX_TAG = 5000  # of a tag, in any store
_TABLES = "mlflow.loggedArtifacts"  # by this tag MLflow's pages find tables
_CONTEXT = "mlflow.data.context"


def now_ms() -> int:
    """Milliseconds of the clock, as MLflow counts them."""
    return int(time.time() * 1000)


def metrics_entry(figures: Sequence[tuple[str, float, int]]) -> Entry:
    """Figures (name, value, step), all of now."""
    now = now_ms()
    values = [[name, float(value), now, step] for name, value, step in figures]
    return {"kind": "metrics", "values": values}


def params_entry(params: Mapping[str, str]) -> Entry:
    """Options of a run, cut to what MLflow keeps of each."""
    return {"kind": "params", "values": {key: value[:MAX_PARAM] for key, value in params.items()}}


def tags_entry(tags: Mapping[str, str]) -> Entry:
    """Tags of a run, cut to what MLflow keeps of each."""
    return {"kind": "tags", "values": {key: value[:_MAX_TAG] for key, value in tags.items()}}


def artifact_entry(path: str, folder: str | None = None, *, is_table: bool = False) -> Entry:
    """A copy of the file ``path``, in ``folder`` of the artifacts; MLflow shows tables as such."""
    return {"kind": "artifact", "files": {"file": path}, "folder": folder, "is_table": is_table}


def inputs_entry(datasets: Sequence[Mapping[str, str | None]]) -> Entry:
    """Data that a run reads, as `datasets.describe_dataset` tells of each."""
    return {"kind": "inputs", "values": [dict(dataset) for dataset in datasets]}


def end_entry(status: str) -> Entry:
    """The end of a run, now."""
    return {"kind": "end", "status": status, "time": now_ms()}


def send_entry(client: MlflowClient, run_id: str, entry: Entry, folder: Path) -> Any:
    """Send ``entry``, whose files are in ``folder``; what an error means is the caller's."""
    return _SENDERS[entry["kind"]](client, run_id, entry, folder)


def _send_metrics(client: MlflowClient, run_id: str, entry: Entry, _folder: Path) -> None:
    for some in _batches([Metric(*value) for value in entry["values"]], _METRICS):
        client.log_batch(run_id, metrics=some)


def _send_params(client: MlflowClient, run_id: str, entry: Entry, _folder: Path) -> None:
    for some in _batches([Param(*item) for item in entry["values"].items()], _PARAMS):
        client.log_batch(run_id, params=some)


def _send_tags(client: MlflowClient, run_id: str, entry: Entry, _folder: Path) -> None:
    for some in _batches([RunTag(*item) for item in entry["values"].items()], _PARAMS):
        client.log_batch(run_id, tags=some)


def _send_artifact(client: MlflowClient, run_id: str, entry: Entry, folder: Path) -> None:
    path = folder / entry["files"]["file"]
    client.log_artifact(run_id, str(path), entry["folder"])
    if not entry["is_table"]:
        return
    name = f"{entry['folder']}/{path.name}" if entry["folder"] else path.name
    tables = json.loads(client.get_run(run_id).data.tags.get(_TABLES, "[]"))
    table = {"path": name, "type": "table"}
    if table not in tables:
        client.set_tag(run_id, _TABLES, json.dumps([*tables, table]))


def _send_inputs(client: MlflowClient, run_id: str, entry: Entry, _folder: Path) -> None:
    for some in _batches(entry["values"], _INPUTS):
        client.log_inputs(run_id, [_dataset_input(described) for described in some])


def _dataset_input(described: Mapping[str, str]) -> DatasetInput:
    values = {key: value for key, value in described.items() if key != "context"}
    return DatasetInput(Dataset(**values), [InputTag(_CONTEXT, described["context"])])


def _send_end(client: MlflowClient, run_id: str, entry: Entry, _folder: Path) -> None:
    client.set_terminated(run_id, entry["status"], entry["time"])


def _send_model(client: MlflowClient, run_id: str, entry: Entry, folder: Path) -> str:
    # Imported here: only a run with a model needs what MLflow's models need.
    from yt8m_spark.pyfunc import send_model

    return send_model(client, run_id, entry, folder)


def _batches(values: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(values), size):
        yield list(values[start : start + size])


_SENDERS = {
    "metrics": _send_metrics,
    "params": _send_params,
    "tags": _send_tags,
    "artifact": _send_artifact,
    "inputs": _send_inputs,
    "model": _send_model,
    "end": _send_end,
}
