"""Tags videos by their frames with a trained network, without Spark and without MLflow.

Axes: B videos, F frames of a video, D_i features of list i, E entities, K top-k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from yt8m_spark.calibration import check_calibration, load_calibration
from yt8m_spark.core.calibration import Calibration, apply_calibration
from yt8m_spark.core.frame_sampling import FrameLists
from yt8m_spark.core.scored import best_of
from yt8m_spark.errors import InputError
from yt8m_spark.network_scorer import load_scored_network, score_network
from yt8m_spark.tagger import top_k_of

__all__ = ["NetworkTagger", "load_network_tagger"]

_VIDEOS_AT_ONCE = 256  # whose scores of all entities are held


class NetworkTagger:
    """Frames in, the best entities of each video out."""

    def __init__(
        self, folder: str, features: Mapping[str, int], calibration: Calibration | None = None
    ) -> None:
        self._folder = folder
        self._calibration = calibration
        self.features = dict(features)  # feature lists, the columns that it takes, and their widths

    def example(self) -> pd.DataFrame:
        """A table that it takes: a video of one frame."""
        return pd.DataFrame({name: [bytes([128]) * width] for name, width in self.features.items()})

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Best entities of each video, best first, and their scores in [0, 1].

        Parameters
        ----------
        model_input : DataFrame
            For each feature list a column of B values, the frames of a video as bytes: F x D_i
            uint8, row-major, as a frames table has them. None is a video without frames, which
            scores 0 for every entity.
        params : dict, optional
            ``top_k``, entities kept for each video: 20 by default.

        Returns
        -------
        DataFrame
            ``entities`` and ``scores``, a list of min(top_k, E) each, with the index of the input.
            With a calibration attached scores are probabilities, and rank as such.

        Raises
        ------
        InputError
            If a column is missing, a value is no bytes or no whole number of frames, or ``top_k``
            is less than 1.
        """
        k = top_k_of(params)
        entities: list[list[int]] = []
        scores: list[list[float]] = []
        for start in range(0, len(model_input), _VIDEOS_AT_ONCE):
            best = self._best(model_input.iloc[start : start + _VIDEOS_AT_ONCE], k)
            # Lists, not arrays: what serves a model writes them as JSON.
            entities += best[0].tolist()
            scores += best[1].tolist()
        columns = {"entities": entities, "scores": scores}
        return pd.DataFrame(columns, index=model_input.index, dtype=object)

    def _best(self, table: pd.DataFrame, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Entities and scores of a few videos, (B, min(k, E))."""
        network = load_scored_network(self._folder)
        scores = score_network(network, _frame_lists(table, self.features))
        if self._calibration is not None:
            scores = apply_calibration(self._calibration, scores)
        columns, best = best_of(scores, k)
        return network.entities[columns], best


def load_network_tagger(folder: str, *, calibration: str | None = None) -> NetworkTagger:
    """Tagger of the network in ``folder``, read now and not at the first request.

    Parameters
    ----------
    folder : str
        Model folder of train_deep.
    calibration : str, optional
        Folder of a calibration of this model.

    Raises
    ------
    InputError
        If one of them is none, or the calibration is of another model; or as
        `load_scored_network`.
    """
    if calibration is not None:
        check_calibration(calibration, folder)
    fitted = load_calibration(calibration) if calibration else None
    return NetworkTagger(folder, load_scored_network(folder).features, fitted)


def _frame_lists(table: pd.DataFrame, features: Mapping[str, int]) -> FrameLists:
    """Frames of the rows of ``table``."""
    missing = [name for name in features if name not in table.columns]
    if missing:
        found = ", ".join(map(str, table.columns))
        raise InputError(f"no column {missing[0]!r}", where="input", found=found)
    lists = [_rows(table[name].tolist(), name, width) for name, width in features.items()]
    return FrameLists([codes for codes, _ in lists], [offsets for _, offsets in lists])


def _rows(
    values: Sequence[Any], name: str, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Frames (N, width) of all videos of a feature list, and offsets (B + 1,) of each."""
    frames = [b"" if value is None else value for value in values]
    for row, value in enumerate(frames):
        where = f"input, row {row}, column {name!r}"
        if not isinstance(value, bytes | bytearray | memoryview):
            raise InputError(
                "frames are no bytes", where=where, expected="uint8", found=type(value).__name__
            )
        if len(value) % width:
            raise InputError(
                "no whole number of frames",
                where=where,
                expected=f"a multiple of {width} bytes",
                found=f"{len(value)} bytes",
            )
    lengths = np.array([len(value) // width for value in frames], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.frombuffer(b"".join(frames), np.uint8).reshape(-1, width), offsets
