"""Scores features with a trained model, without Spark and without MLflow: what a server runs.

Axes: B videos, D features of the model, W raw features before whitening, E entities, K top-k.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from yt8m_spark.calibration import check_calibration, load_calibration
from yt8m_spark.core.calibration import Calibration, apply_calibration
from yt8m_spark.core.scored import best_of
from yt8m_spark.core.whitening import Whitening, apply_whitening, l2_normalize
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import read_description
from yt8m_spark.stack import best_entities, load_video_model, score_model
from yt8m_spark.whitening_files import load_whitening

__all__ = ["TOP_K", "EntityTagger", "load_tagger", "top_k_of"]

TOP_K = 20  # what GAP@20 pools of a video
_VIDEOS_AT_ONCE = 512  # whose scores of all entities are held, where they are calibrated


class EntityTagger:
    """Features in, the best entities of each row out."""

    def __init__(
        self,
        folder: str,
        whitening: Whitening | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self._folder = folder
        self._whitening = whitening
        self._calibration = calibration

    @property
    def width(self) -> int:
        """Length of the rows it takes, D or W."""
        if self._whitening is not None:
            return self._whitening.width
        return int(read_description(self._folder)["n_features"])

    def example(self) -> list[float]:
        """A row that it takes: of length 1, or, if it whitens, the mean video."""
        if self._whitening is not None:
            return [float(value) for value in self._whitening.mean]
        return [self.width**-0.5] * self.width

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
            With a calibration attached scores are probabilities, and rank as such.

        Raises
        ------
        InputError
            If there is no such column, rows are not of the model's width, a number is not finite
            or ``top_k`` is less than 1.
        """
        features, index = _matrix(model_input)
        k = top_k_of(params)
        if features.shape[1] != self.width:
            raise InputError(
                "feature width is not the model's", expected=self.width, found=features.shape[1]
            )
        if self._whitening:
            features = apply_whitening(features, self._whitening)
            if self._whitening.l2_normalize:
                features = l2_normalize(features)
        entities, scores = self._best(features.astype(np.float32, copy=False), k)
        # Lists, not arrays: what serves a model writes them as JSON.
        best = {"entities": entities.tolist(), "scores": scores.tolist()}
        return pd.DataFrame(best, index=index)

    def _best(
        self, features: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Entities and scores, (B, min(k, E)), best first."""
        model = load_video_model(self._folder)
        if self._calibration is None:
            return best_entities(model, features, k)
        found = []
        for start in range(0, len(features), _VIDEOS_AT_ONCE):
            scores = score_model(model, features[start : start + _VIDEOS_AT_ONCE])
            found.append(best_of(apply_calibration(self._calibration, scores), k))
        columns, best = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return model.entities[columns], best


def top_k_of(params: dict[str, Any] | None) -> int:
    """Entities to keep for each video, as the parameters of a request tell.

    Raises
    ------
    InputError
        If it is less than 1.
    """
    k = int((params or {}).get("top_k", TOP_K))
    if k < 1:
        raise InputError("top_k is too small", expected="at least 1", found=k)
    return k


def load_tagger(
    folder: str, *, whitening: str | None = None, calibration: str | None = None
) -> EntityTagger:
    """Tagger of the model in ``folder``, read now and not at the first request.

    Parameters
    ----------
    folder : str
        Model folder of train_entities or train_stack.
    whitening : str, optional
        Folder of the whitening that made the model's features.
    calibration : str, optional
        Folder of a calibration of this model.

    Raises
    ------
    InputError
        If one of them is none, or is not of this model.
    """
    fitted = None
    if whitening is not None:
        fitted = load_whitening(whitening)[0]
        _check_whitening(folder, whitening, fitted.digest)
    if calibration is not None:
        check_calibration(calibration, folder)
    load_video_model(folder)
    return EntityTagger(folder, fitted, load_calibration(calibration) if calibration else None)


def _check_whitening(folder: str, whitening: str, found: str) -> None:
    expected = read_description(folder).get("whitening")
    if expected is not None and found != expected:
        raise InputError(
            "model was trained on another whitening",
            where=whitening,
            expected=f"digest {str(expected)[:12]}",
            found=found[:12],
        )


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
