"""A trained model as an MLflow model: its folder and a file of code, no pickle.

    model = mlflow.pyfunc.load_model(uri)
    model.predict(table, params={"top_k": 20})    # column features in; entities, scores out

    tags = mlflow.pyfunc.spark_udf(spark, uri, env_manager="local")
    table.select("video_id", tags("features"))    # struct of entities, scores

A served model needs Python, mlflow, numpy, scipy, pandas and pyarrow; neither Spark nor an
installed yt8m_spark: the model has a copy of the package, for where there is none.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import warnings
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from mlflow import MlflowClient, MlflowException
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from yt8m_spark.scorer import check_model
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
    "register_model",
    "send_model",
]

_PACKAGE = Path(__file__).parent
_CODE = _PACKAGE / "pyfunc_model.py"
_REQUIREMENTS = ("mlflow", "numpy", "scipy", "pandas", "pyarrow")
_FITTED = ("whitening", "calibration")
_VERSIONS = "mlflow.modelVersions"  # by this tag MLflow's pages lead from a model to its versions
_MODEL_NAME = re.compile(r"[^/:\s][^/:]*")
_ALIAS = re.compile(r"(?!latest$|[vV]\d+$)[\w-]{1,255}")
# float64, as JSON has it: MLflow takes float32 for it, but not the reverse.
_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(Array(DataType.double), "features")]),
    outputs=Schema(
        [ColSpec(Array(DataType.long), "entities"), ColSpec(Array(DataType.double), "scores")]
    ),
    params=ParamSchema([ParamSpec("top_k", DataType.long, TOP_K)]),
)


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
        Model folder of train_entities; a copy of it becomes the artifact, AdaGrad's state included.
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
    """Log, and register, the model of an entry of `log_entity_model`; its URI.

    By the client of the run alone: ``mlflow.pyfunc.log_model`` would log to whatever store the
    process has set, not to the run's.
    """
    experiment_id = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment_id, name=entry["name"], source_run_id=run_id)
    described = Model(run_id=run_id, model_id=logged.model_id, signature=_SIGNATURE)
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
    fitted = {name: artifacts.get(name) for name in _FITTED}
    example = load_tagger(artifacts["entity_model"], **fitted).example()
    save_model(
        str(saved),
        python_model=str(_CODE),
        artifacts=artifacts,
        mlflow_model=described,
        signature=_SIGNATURE,
        input_example=pd.DataFrame({"features": [example]}),
        pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
    )
