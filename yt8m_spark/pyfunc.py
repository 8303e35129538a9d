"""A trained model as an MLflow model: its folder and a file of code, no pickle.

    model = mlflow.pyfunc.load_model(uri)
    model.predict(table, params={"top_k": 20})    # column features in; entities, scores out

    tags = mlflow.pyfunc.spark_udf(spark, uri, env_manager="local")
    table.select("video_id", tags("features"))    # struct of entities, scores

A network takes the frames of videos instead, as bytes, a column for each feature list:
``tags("rgb", "audio")``.

A served model needs Python, mlflow, numpy, scipy, pandas and pyarrow, and for a network torch and
safetensors; neither Spark nor an installed yt8m_spark: the model has a copy of the package, for
where there is none.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowClient, MlflowException
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from yt8m_spark.errors import InputError
from yt8m_spark.logged_tagger import Interface, interface_of, load_logged_tagger
from yt8m_spark.network_tagger import load_network_tagger
from yt8m_spark.scorer import check_model, is_network
from yt8m_spark.tagger import TOP_K, EntityTagger, load_tagger
from yt8m_spark.tracking_entries import Entry

with warnings.catch_warnings():
    # MLflow warns of a type hint of its own when it is first imported.
    warnings.simplefilter("ignore")
    from mlflow.pyfunc import save_model

if TYPE_CHECKING:
    from yt8m_spark.tracking import TrackedRun

__all__ = [
    "EntityTagger",
    "check_registration",
    "log_entity_model",
    "log_network_model",
    "register_model",
    "send_model",
]

_PACKAGE = Path(__file__).parent
_CODE = _PACKAGE / "pyfunc_model.py"
_VERSIONS = "mlflow.modelVersions"  # by this tag MLflow's pages lead from a model to its versions
_MODEL_NAME = re.compile(r"[^/:\s][^/:]*")
_ALIAS = re.compile(r"(?!latest$|[vV]\d+$)[\w-]{1,255}")
_TYPES: dict[str, Array | DataType] = {
    "numbers": Array(DataType.double),  # as JSON has them: MLflow takes float32, but not for float
    "bytes": DataType.binary,
}


def log_entity_model(
    run: TrackedRun,
    folder: str,
    *,
    whitening: str | None = None,
    calibration: str | None = None,
    name: str = "entity_model",
    register: str | None = None,
    alias: str | None = None,
) -> str | None:
    """Log the model in ``folder`` to ``run`` as an MLflow model.

    Parameters
    ----------
    run : TrackedRun
    folder : str
        Model folder of train_entities or train_stack; a copy of it becomes the artifact, AdaGrad's
        state included.
    whitening : str, optional
        Folder of the whitening that made the model's features; the model then takes raw features.
    calibration : str, optional
        Folder of a calibration of the model; scores are then probabilities.
    name : str
        Of the MLflow model.
    register : str, optional
        Name in the registry, of which this becomes the next version.
    alias : str, optional
        Of that version, taken from the one that has it: ``models:/<register>@<alias>``.

    Returns
    -------
    str or None
        URI of the model, ``models:/m-...``, for ``mlflow.pyfunc.load_model``; None if the server
        is away: then the model waits, as all that is logged (see `yt8m_spark.tracking`).

    Raises
    ------
    InputError
        If ``folder`` holds no model, ``whitening`` or ``calibration`` none, or one of another
        model.

    Notes
    -----
    Called through MLflow, the model takes what its signature says and nothing else: a DataFrame
    with a column ``features`` of lists of floats (JSON, or float32 or float64; of whole numbers
    not). A matrix, which `EntityTagger` takes as well, is refused there, and a parameter of
    another name than ``top_k`` is passed over with a warning.
    """
    check_model(folder)
    given = {"whitening": whitening, "calibration": calibration}
    load_tagger(folder, **given)
    files = {"entity_model": folder} | {key: path for key, path in given.items() if path}
    return _log(run, files, name, register, alias)


def log_network_model(
    run: TrackedRun,
    folder: str,
    *,
    calibration: str | None = None,
    name: str = "network_model",
    register: str | None = None,
    alias: str | None = None,
) -> str | None:
    """Log the network in ``folder`` to ``run`` as an MLflow model.

    Parameters
    ----------
    run : TrackedRun
    folder : str
        Model folder of train_deep; a copy of it becomes the artifact.
    calibration : str, optional
        Folder of a calibration of the model; scores are then probabilities.
    name, register, alias
        As in `log_entity_model`.

    Returns
    -------
    str or None
        As `log_entity_model`.

    Raises
    ------
    InputError
        If ``folder`` holds no network, or ``calibration`` none or one of another model.

    Notes
    -----
    The model takes a DataFrame with a column of bytes for each feature list of the network, the
    frames of a video row-major as a frames table has them (base64 in the JSON of a request), and
    the parameter ``top_k``.
    """
    if not is_network(folder):
        raise InputError("model is no network", where=folder, expected="one of train_deep")
    load_network_tagger(folder, calibration=calibration)
    files = {"entity_model": folder} | ({"calibration": calibration} if calibration else {})
    return _log(run, files, name, register, alias)


def _log(
    run: TrackedRun, files: dict[str, str], name: str, register: str | None, alias: str | None
) -> str | None:
    logged = {"kind": "model", "name": name, "register": register, "alias": alias, "files": files}
    sent: str | None = run.log_entry(logged)
    return sent


def check_registration(register: str | None, alias: str | None) -> None:
    """Refuse names that the registry would refuse, but only after the training.

    Raises
    ------
    ValueError
        If one of the names cannot be, or there is an alias and no model to be registered.
    """
    if alias is not None and register is None:
        raise ValueError("alias names a version of a registered model: it needs register")
    if register is not None and not _MODEL_NAME.fullmatch(register):
        raise ValueError(f"register must be a name without / and :, got {register!r}")
    if alias is not None and not _ALIAS.fullmatch(alias):
        expected = "letters, digits, - and _, and neither latest nor a version like v1"
        raise ValueError(f"alias must have {expected}, got {alias!r}")


def send_model(client: MlflowClient, run_id: str, entry: Entry, folder: Path) -> str:
    """Log, and register, the model of an entry of this file; its URI.

    By the client of the run alone: ``mlflow.pyfunc.log_model`` would log to whatever store the
    process has set, not to the run's.
    """
    experiment_id = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment_id, name=entry["name"], source_run_id=run_id)
    described = Model(run_id=run_id, model_id=logged.model_id)
    try:
        with tempfile.TemporaryDirectory(prefix="yt8m_spark-") as temporary:
            saved = Path(temporary) / "saved"
            given = {name: folder / path for name, path in entry["files"].items()}
            _save(saved, _staged(given, Path(temporary)), described)
            client.log_model_artifacts(logged.model_id, str(saved))
        client.finalize_logged_model(logged.model_id, "READY")
    except (MlflowException, OSError):
        client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    uri = f"models:/{logged.model_id}"
    if entry["register"]:
        register_model(client, uri, entry["register"], entry["alias"])
    return uri


def register_model(client: MlflowClient, uri: str, name: str, alias: str | None = None) -> str:
    """Make the logged model at ``uri`` the next version of ``name`` in the registry.

    Parameters
    ----------
    client : MlflowClient
        Of the store that has the model.
    uri : str
        ``models:/m-...``, as `log_entity_model` gives it.
    name : str
        Registered model, made if it is not there.
    alias : str, optional
        ``models:/<name>@<alias>`` is this version from now on.

    Returns
    -------
    str
        The version.
    """
    model_id = uri.removeprefix("models:/")
    logged = client.get_logged_model(model_id)
    if not client.search_registered_models(f"name = '{name}'", max_results=1):
        client.create_registered_model(name)
    # Not the URI: MLflow would look for it in whatever store the process has set.
    made = client.create_model_version(
        name, logged.artifact_location, run_id=logged.source_run_id, model_id=model_id
    )
    versions = json.loads(logged.tags.get(_VERSIONS, "[]"))
    versions.append({"name": name, "version": made.version})
    client.set_logged_model_tags(model_id, {_VERSIONS: json.dumps(versions)})
    if alias is not None:
        client.set_registered_model_alias(name, alias, made.version)
    return str(made.version)


def _staged(given: dict[str, Path], temporary: Path) -> dict[str, str]:
    """Copies by their names in the MLflow model: an output that is not finished is called .tmp."""
    staged = {}
    for name, path in given.items():
        staged[name] = str(temporary / name)
        shutil.copytree(path, staged[name])
    staged["package"] = str(temporary / "yt8m_spark.zip")
    _pack(Path(staged["package"]))
    return staged


def _pack(target: Path) -> None:
    """The code of the package, for Python to import from: a tenth of a megabyte or two."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(_PACKAGE.rglob("*.py")):
            file.write(path, path.relative_to(_PACKAGE.parent))


def _save(saved: Path, artifacts: dict[str, str], described: Model) -> None:
    """Save an MLflow model at ``saved``."""
    interface = interface_of(load_logged_tagger(artifacts))
    described.signature = _signature(interface)
    save_model(
        str(saved),
        python_model=str(_CODE),
        artifacts=artifacts,
        mlflow_model=described,
        signature=described.signature,
        input_example=interface.example,
        # Without the kind of build, as in 2.13.0+cpu, which the package index does not have.
        pip_requirements=[f"{n}=={version(n).partition('+')[0]}" for n in interface.requirements],
    )


def _signature(interface: Interface) -> ModelSignature:
    inputs = {name: _TYPES[kind] for name, kind in interface.columns.items()}
    outputs = {"entities": Array(DataType.long), "scores": Array(DataType.double)}
    top_k = ParamSchema([ParamSpec("top_k", DataType.long, TOP_K)])
    return ModelSignature(_schema(inputs), _schema(outputs), top_k)


def _schema(columns: Mapping[str, Array | DataType]) -> Schema:
    return Schema([ColSpec(kind, name) for name, kind in columns.items()])
