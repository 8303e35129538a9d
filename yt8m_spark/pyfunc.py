"""A trained model as an MLflow model: the folder itself and the name of this module, no pickle.

    model = mlflow.pyfunc.load_model(uri)
    model.predict(features, params={"top_k": 20})    # DataFrame: entities, scores

Axes: B videos, D features of the model, W raw features before whitening, K top-k.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mlflow import MlflowException
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, ModelSignature
from mlflow.types import ParamSchema, ParamSpec
from numpy.typing import NDArray

from yt8m_spark import __version__
from yt8m_spark.core.scoring import top_k_videos
from yt8m_spark.core.whitening import Whitening, apply_whitening, l2_normalize
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import check_model, load_scorer, read_description

with warnings.catch_warnings():
    # MLflow warns of a type hint of its own when it is first imported.
    warnings.simplefilter("ignore")
    from mlflow.pyfunc import save_model

if TYPE_CHECKING:
    from yt8m_spark.tracking import TrackedRun

__all__ = ["EntityTagger", "log_entity_model"]

_TOP_K = 20  # what GAP@20 pools of a video
_MODEL, _WHITENING = "entity_model", "whitening"  # folders of the artifact
_REQUIREMENTS = [f"yt8m_spark=={__version__}"]


class EntityTagger:
    """What MLflow calls: features in, the best entities of each row out."""

    def __init__(self, folder: str, whitening: Whitening | None = None) -> None:
        self._folder = folder
        self._whitening = whitening

    def predict(
        self, model_input: NDArray[Any] | pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Best entities of each row, best first, and their scores in [0, 1].

        Parameters
        ----------
        model_input : (B, D) array, or DataFrame with a column ``features`` of B rows of D numbers
            Whitened features of videos of length 1; with a whitening attached, raw features (B, W)
            of its columns side by side. A model of frames (§4.1.1) takes vectors of frames; the
            mean over the frames of a video (Eq. 1) is the caller's.
        params : dict, optional
            ``top_k``, entities kept for each row: 20 by default.

        Returns
        -------
        DataFrame
            ``entities`` and ``scores``, a list of min(top_k, E) each, with the index of the input.

        Raises
        ------
        InputError
            If there is no such column, rows are not of the model's width, a number is not finite
            or ``top_k`` is less than 1.
        """
        features, index = _matrix(model_input)
        top_k = int((params or {}).get("top_k", _TOP_K))
        if top_k < 1:
            raise InputError("top_k is too small", expected="at least 1", found=top_k)
        scorer = load_scorer(self._folder)
        width = self._whitening.width if self._whitening else scorer.n_features
        if features.shape[1] != width:
            raise InputError(
                "feature width is not the model's", expected=width, found=features.shape[1]
            )
        if self._whitening:
            features = apply_whitening(features, self._whitening)
            if self._whitening.l2_normalize:
                features = l2_normalize(features)
        entities, scores = top_k_videos(scorer, features.astype(np.float32, copy=False), top_k)
        return pd.DataFrame({"entities": list(entities), "scores": list(scores)}, index=index)


def log_entity_model(
    run: TrackedRun, folder: str, *, whitening: str | None = None, name: str = "entity_model"
) -> str:
    """Log the model in ``folder`` to ``run`` as an MLflow model.

    Parameters
    ----------
    run : TrackedRun
    folder : str
        Model folder of train_entities; a copy of it becomes the artifact, AdaGrad's state included.
    whitening : str, optional
        Folder of the whitening that made the model's features; the model then takes raw features.
    name : str
        Of the MLflow model.

    Returns
    -------
    str
        URI of the model, ``models:/m-...``, for ``mlflow.pyfunc.load_model``.

    Raises
    ------
    InputError
        If ``folder`` holds no model, ``whitening`` none, or the model was trained on another one.

    Notes
    -----
    The signature names the parameter alone: MLflow's has room for an array or a DataFrame, not for
    either. `EntityTagger.predict` checks what comes.
    """
    check_model(folder)
    if whitening is not None:
        _check_whitening(folder, whitening)
    with tempfile.TemporaryDirectory(prefix="yt8m_spark-") as temporary:
        data = Path(temporary) / "data"
        shutil.copytree(folder, data / _MODEL)
        if whitening is not None:
            shutil.copytree(whitening, data / _WHITENING)
        return _log(run, str(data), Path(temporary) / "saved", name)


def _log(run: TrackedRun, data: str, saved: Path, name: str) -> str:
    """Save ``data`` as an MLflow model at ``saved`` and log that; by the client of the run alone.

    ``mlflow.pyfunc.log_model`` would log to whatever store the process has set, not to the run's.
    """
    client = run.client
    experiment_id = client.get_run(run.run_id).info.experiment_id
    logged = client.create_logged_model(experiment_id, name=name, source_run_id=run.run_id)
    signature = ModelSignature(params=ParamSchema([ParamSpec("top_k", "long", _TOP_K)]))
    described = Model(run_id=run.run_id, model_id=logged.model_id, signature=signature)
    try:
        save_model(
            str(saved),
            loader_module=__name__,
            data_path=data,
            mlflow_model=described,
            pip_requirements=_REQUIREMENTS,
        )
        client.log_model_artifacts(logged.model_id, str(saved))
        client.finalize_logged_model(logged.model_id, "READY")
    except (MlflowException, OSError):
        client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return f"models:/{logged.model_id}"


def _load_pyfunc(path: str) -> EntityTagger:
    """Model in the artifact folder ``path``; MLflow finds this function by its name."""
    whitening = Path(path) / _WHITENING
    fitted = _read_whitening(str(whitening)) if whitening.is_dir() else None
    folder = str(Path(path) / _MODEL)
    load_scorer(folder)  # now, not at the first request
    return EntityTagger(folder, fitted)


def _check_whitening(folder: str, whitening: str) -> None:
    expected, found = read_description(folder).get("whitening"), _read_whitening(whitening).digest
    if expected is not None and found != expected:
        raise InputError(
            "model was trained on another whitening",
            where=whitening,
            expected=f"digest {str(expected)[:12]}",
            found=found[:12],
        )


def _read_whitening(folder: str) -> Whitening:
    # Imported here: only a model with a whitening needs it, and PySpark with it.
    from yt8m_spark.spark.whitening import load_whitening

    return load_whitening(folder)[0]


def _matrix(model_input: NDArray[Any] | pd.DataFrame) -> tuple[NDArray[Any], pd.Index | None]:
    """Features (B, width) of either kind of input, and the index of a DataFrame."""
    index: pd.Index | None = None
    rows: Any = model_input
    if isinstance(model_input, pd.DataFrame):
        if "features" not in model_input.columns:
            found = ", ".join(map(str, model_input.columns))
            raise InputError("no column 'features'", where="input", found=found)
        index, rows = model_input.index, model_input["features"].tolist()
    try:
        features = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("features are no rows of one length", where="input") from None
    if features.ndim != 2:
        expected = "rows of numbers, (B, D)"
        raise InputError("features are no matrix", expected=expected, found=features.shape)
    if not np.isfinite(features).all():
        raise InputError("value is not finite", where="input", expected="finite numbers")
    return features, index
