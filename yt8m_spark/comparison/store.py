"""Runs to compare, from MLflow: by id, the children of one, or the best of an experiment."""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from yt8m_spark.comparison.metrics import lower_is_better
from yt8m_spark.comparison.runs import (
    EVALUATION_FILES,
    METRICS,
    EvaluatedRun,
    entity_columns,
    read_evaluation,
)
from yt8m_spark.errors import InputError
from yt8m_spark.experiments import store_uri
from yt8m_spark.formats.small_text import parse_json, read_text
from yt8m_spark.masking import masked
from yt8m_spark.tracking_server import UnansweredError, reason, server_at
from yt8m_spark.tracking_start import PARENT_RUN

__all__ = ["RunStore", "read_runs"]

T = TypeVar("T")

_SQLITE = "sqlite:///"
_SIZES = ("n_videos", "n_labelled_videos", "n_entities")
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second: no id at all
_SEARCH = "cannot search MLflow store"
_FOLDER = "evaluation"  # of the artifacts
_TABLE = "per_entity.json"  # all that older runs kept of their entities
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_METRIC_NAME = re.compile(r"[\w .:/-]+")
# What a training logs under names that an evaluation has too: videos and loss of the training.
_OF_TRAINING = ("n_videos", "n_entities", "loss")
_TRAINED = "n_blocks"  # logged by trainings alone
# Where a run was kept is not what it was.
_NO_SETTINGS = ("output", "overwrite", "resume", "tracking_uri", "experiment", "config")


def read_runs(specs: Sequence[str], tracking_uri: str | None = None) -> list[EvaluatedRun]:
    """Read runs given as ``ID``, ``FOLDER``, ``name=ID`` or ``name=FOLDER``, all by one name each.

    A run without a given name has its own in MLflow, or that of its folder, and what tells it
    from another of that name. MLflow is asked only for what is no folder.

    Raises
    ------
    InputError
        If there is no such run or folder, or two are given one name.
    """
    store: RunStore | None = None
    named, runs = [], []
    for spec in specs:
        name, place = _split(spec)
        if Path(place).is_dir():
            run = read_evaluation(Path(place), Path(place).resolve().name, place)
        else:
            store = store or RunStore(tracking_uri)
            run = store.read(place)
        named.append(bool(name))
        # A name from the command line may hold bytes that are no text.
        text = (name or run.name).encode("utf-8", "replace").decode()
        runs.append(replace(run, name=text))
    return _told_apart(runs, named)


def _split(spec: str) -> tuple[str, str]:
    """Name, empty if there is none, and the rest; a folder may have a = in its path."""
    name, equals, place = spec.partition("=")
    if not equals or Path(spec).is_dir():
        return "", spec
    return name.strip(), place.strip()


def _told_apart(runs: Sequence[EvaluatedRun], named: Sequence[bool]) -> list[EvaluatedRun]:
    """``runs`` with names that are different: what was not named gets its place in the name."""
    count = Counter(run.name for run in runs)
    apart = [
        run if given or count[run.name] == 1 else replace(run, name=_with_place(run))
        for run, given in zip(runs, named, strict=True)
    ]
    for name, n_runs in Counter(run.name for run in apart).items():
        if n_runs > 1:
            raise InputError("two runs have one name, or are the same", found=repr(name))
    return apart


def _with_place(run: EvaluatedRun) -> str:
    place = run.source[:8] if _RUN_ID.fullmatch(run.source) else run.source
    return f"{run.name} ({place})"


class RunStore:
    """The MLflow store at ``uri``, by default the one that jobs log to.

    Raises
    ------
    InputError
        If it cannot be opened, or is a SQLite store that is not there: MLflow would make one.
    """

    def __init__(self, uri: str | None = None) -> None:
        address = store_uri(uri)
        self._where = masked(address)
        path = address.removeprefix(_SQLITE)
        if path != address and not Path(path).exists():
            raise InputError("no such MLflow store", where=self._where)
        try:
            self._server = server_at(address)
        except MlflowException as error:
            raise self._refusal("cannot open MLflow store", error) from error

    def read(self, run_id: str) -> EvaluatedRun:
        """Figures, settings, entities and replicates of a run, by the name that it has.

        Raises
        ------
        InputError
            If there is no such run, or its artifacts cannot be read.
        """
        run = self._get(run_id)
        with tempfile.TemporaryDirectory() as folder:
            return _with_logged(self._evaluation(run_id, folder), run)

    def children(self, parent: str) -> list[str]:
        """Ids of the runs below run ``parent``, first started first.

        Raises
        ------
        InputError
            If there is no such run or it has no children.
        """
        experiment = self._get(parent).info.experiment_id
        condition = f"tags.`{PARENT_RUN}` = '{parent}'"
        found = self._search(experiment, condition, "attributes.start_time ASC")
        if not found:
            raise InputError("run has no child runs", where=self._where, found=parent)
        return [run.info.run_id for run in found]

    def best(self, experiment: str, n_runs: int, metric: str) -> list[str]:
        """Ids of the ``n_runs`` finished runs of ``experiment`` that are best by ``metric``.

        Of runs that were not evaluated alike (on other videos, or some of the entities alone) only
        those count that most runs are like: others win by easier questions.

        Raises
        ------
        InputError
            If there is no such experiment, or none of its finished runs has the metric.
        """
        if not _METRIC_NAME.fullmatch(metric):
            raise InputError("no name of a metric", found=repr(metric))
        found = self._ask(_SEARCH, lambda client: client.get_experiment_by_name(experiment))
        if found is None:
            raise InputError("no such experiment", where=self._where, found=experiment)
        order = f"metrics.`{metric}` {'ASC' if lower_is_better(metric) else 'DESC'}"
        # Any bound leaves out runs without the metric; those where it is NaN pass, and come last.
        condition = f"attributes.status = 'FINISHED' and metrics.`{metric}` > -1e300"
        runs = self._search(found.experiment_id, condition, order)
        known = [run for run in runs if not math.isnan(run.data.metrics[metric])]
        if not known:
            where = f"experiment {experiment!r} of {self._where}"
            raise InputError("no finished run has the metric", where=where, found=metric)
        (asked, _), *_ = Counter(map(_asked, known)).most_common(1)
        return [run.info.run_id for run in known if _asked(run) == asked][:n_runs]

    def _search(self, experiment: str, condition: str, order: str, n: int = 1000) -> list[Run]:
        found = self._ask(
            _SEARCH,
            lambda client: client.search_runs(
                [experiment], condition, order_by=[order], max_results=n
            ),
        )
        return list(found)

    def _get(self, run_id: str) -> Run:
        try:
            return self._server.ask(lambda client: client.get_run(run_id))
        except (UnansweredError, MlflowException) as error:
            cause = error.__cause__ or error
            if isinstance(cause, MlflowException) and cause.error_code in _NOT_THERE:
                expected = "the id of a run or the folder of an evaluation"
                raise InputError(
                    "no such run", where=self._where, expected=expected, found=run_id
                ) from error
            raise self._refusal("cannot read MLflow store", error) from error

    def _ask(self, what: str, call: Callable[[MlflowClient], T]) -> T:
        try:
            return self._server.ask(call, large=True)
        except (UnansweredError, MlflowException) as error:
            raise self._refusal(what, error) from error

    def _refusal(self, what: str, error: Exception) -> InputError:
        return InputError(what, where=self._where, found=reason(error))

    def _evaluation(self, run_id: str, folder: str) -> EvaluatedRun | None:
        """What the artifacts of a run tell; None if they are not those of an evaluation."""
        files = [f"{_FOLDER}/{name}" for name in EVALUATION_FILES]
        if f"{_FOLDER}/{METRICS}" in self._download(run_id, files, folder):
            return read_evaluation(Path(folder), run_id, run_id)
        if self._download(run_id, [_TABLE], folder):
            where = f"{_TABLE} of run {run_id}"
            return EvaluatedRun(
                run_id, {}, run_id, per_entity=_entity_table(Path(folder) / _TABLE, where)
            )
        return None

    def _download(self, run_id: str, names: Sequence[str], folder: str) -> list[str]:
        """Put those of ``names``, of one folder, that are there into ``folder``; which they are."""
        of_folder = os.path.dirname(names[0]) or None
        what = f"cannot read the artifacts of run {run_id}"
        listed = self._ask(what, lambda client: client.list_artifacts(run_id, of_folder))
        found = sorted({file.path for file in listed} & set(names))
        for name in found:
            fetch = partial(
                MlflowClient.download_artifacts, run_id=run_id, path=name, dst_path=folder
            )
            # Which folders MLflow makes below the given one depends on the kind of store.
            Path(self._ask(what, fetch)).replace(Path(folder) / Path(name).name)
        return found


def _with_logged(evaluation: EvaluatedRun | None, run: Run) -> EvaluatedRun:
    """``evaluation`` with name, figures and settings of the run.

    Where both have a figure the evaluation's counts: a run may have trained as well.
    """
    logged = dict(run.data.metrics)
    if _TRAINED in logged:
        logged = {name: value for name, value in logged.items() if name not in _OF_TRAINING}
    known = evaluation or EvaluatedRun(run.info.run_id, {}, run.info.run_id)
    settings = {k: v for k, v in run.data.params.items() if k not in _NO_SETTINGS}
    return replace(
        known,
        name=run.info.run_name or run.info.run_id,
        metrics={**logged, **known.metrics},
        settings=settings,
    )


def _entity_table(path: Path, where: str) -> pa.Table:
    """Table of entities out of a table artifact of MLflow."""
    try:
        stored = parse_json(read_text(str(path), "not a table of MLflow"), where)
        table = pa.Table.from_pandas(
            pd.DataFrame(stored["data"], columns=stored["columns"]), preserve_index=False
        )
    except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError("not a table of MLflow", where=where, found=error) from None
    return entity_columns(table, where)


def _asked(run: Run) -> tuple[float | None, ...]:
    """What tells evaluations of other videos or entities apart, as far as metrics tell it."""
    return tuple(run.data.metrics.get(name) for name in _SIZES)
