"""A model as a task uses it: batches of a table in, scores out, whatever kind of model it is.

Each kind of model is a class with the members of `TaskModel`; `load_task_model` finds which one a
folder holds. Axes: B videos of a batch, D features, E entities, K top-k.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from yt8m_spark.calibration import load_calibration
from yt8m_spark.core.calibration import Calibration, apply_calibration
from yt8m_spark.core.frame_sampling import FrameOptions
from yt8m_spark.core.frame_scoring import score_frames
from yt8m_spark.core.scored import best_of
from yt8m_spark.core.scoring import Scorer
from yt8m_spark.errors import InputError
from yt8m_spark.network_scorer import ScoredNetwork, load_scored_network, score_network
from yt8m_spark.scorer import is_network, load_scorer, model_frames
from yt8m_spark.spark.arrow import to_matrix
from yt8m_spark.spark.frame_sampling import frame_lists
from yt8m_spark.stack import VideoModel, best_entities, load_video_model, score_model

__all__ = ["TaskModel", "load_task_model"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class TaskModel(Protocol):
    """What scores batches of the columns that `spark.scoring.scorable` gives."""

    @property
    def entities(self) -> Ints:
        """Entities it scores, (E,), ascending."""

    @property
    def videos_at_once(self) -> int:
        """Videos of a batch whose scores, and what it takes to make them, fit in little memory."""

    def scores(self, batch: pa.RecordBatch) -> Floats:
        """Scores (B, E) in [0, 1]."""

    def best(self, batch: pa.RecordBatch, k: int) -> tuple[Ints, Floats]:
        """Entities and scores, (B, min(k, E)) each, best first; ties by ascending entity."""


def load_task_model(folder: str, calibration: str | None = None) -> TaskModel:
    """Model in ``folder``, read once a process, with the ``calibration`` in that folder.

    Raises
    ------
    InputError
        If one of them is none, or they are of different entities.
    """
    model = _load(folder)
    if calibration is None:
        return model
    maps = load_calibration(calibration)
    if not np.array_equal(maps.entities, model.entities):
        raise InputError("entities of a calibration are not the model's", where=calibration)
    return _Calibrated(model, maps)


def _load(folder: str) -> TaskModel:
    if is_network(folder):
        return _Network(load_scored_network(folder))
    frames = model_frames(folder)
    if frames is not None:
        return _OfFrames(load_scorer(folder), frames)
    return _OfVideos(load_video_model(folder))


class _OfVideos(NamedTuple):
    """Classifiers of features of videos (§4.3), in one stage or two."""

    model: VideoModel

    @property
    def entities(self) -> Ints:
        return self.model.entities

    @property
    def videos_at_once(self) -> int:
        # At 4,800 entities, 20 MB of scores; of two stages, what lies between them beside.
        return 1024 if isinstance(self.model, Scorer) else 256

    def scores(self, batch: pa.RecordBatch) -> Floats:
        return score_model(self.model, self._features(batch))

    def best(self, batch: pa.RecordBatch, k: int) -> tuple[Ints, Floats]:
        return best_entities(self.model, self._features(batch), k)

    def _features(self, batch: pa.RecordBatch) -> Floats:
        """Features (B, D) of a batch of a features table."""
        features = to_matrix(batch.column("features"), "features")
        if features.shape[1] != self.model.n_features:
            raise InputError(
                "feature width is not the model's",
                where="features table",
                expected=self.model.n_features,
                found=features.shape[1],
            )
        return features


class _OfFrames(NamedTuple):
    """Classifiers of frames, whose scores are averaged (§4.1.1, Eq. 1)."""

    scorer: Scorer
    frames: FrameOptions

    @property
    def entities(self) -> Ints:
        return self.scorer.entities

    @property
    def videos_at_once(self) -> int:
        return 256  # as much of sums over frames, in float64

    def scores(self, batch: pa.RecordBatch) -> Floats:
        lists = frame_lists(batch, self.frames.features)
        return score_frames(self.scorer, lists, normalize=self.frames.normalize)

    def best(self, batch: pa.RecordBatch, k: int) -> tuple[Ints, Floats]:
        return _ranked(self, batch, k)


class _Network(NamedTuple):
    """A network that takes the frames of a video (§4.1.2, §4.1.3)."""

    scored: ScoredNetwork

    @property
    def entities(self) -> Ints:
        return self.scored.entities

    @property
    def videos_at_once(self) -> int:
        return 256  # of 300 frames of 1,152 bytes, 90 MB; enough for groups of one length

    def scores(self, batch: pa.RecordBatch) -> Floats:
        return score_network(self.scored, frame_lists(batch, self.scored.features))

    def best(self, batch: pa.RecordBatch, k: int) -> tuple[Ints, Floats]:
        return _ranked(self, batch, k)


class _Calibrated(NamedTuple):
    """A model whose scores are made probabilities, and rank as such."""

    model: TaskModel
    maps: Calibration

    @property
    def entities(self) -> Ints:
        return self.model.entities

    @property
    def videos_at_once(self) -> int:
        return self.model.videos_at_once

    def scores(self, batch: pa.RecordBatch) -> Floats:
        return apply_calibration(self.maps, self.model.scores(batch))

    def best(self, batch: pa.RecordBatch, k: int) -> tuple[Ints, Floats]:
        return _ranked(self, batch, k)


def _ranked(model: TaskModel, batch: pa.RecordBatch, k: int) -> tuple[Ints, Floats]:
    """The best of all scores."""
    columns, scores = best_of(model.scores(batch), k)
    return model.entities[columns], scores
