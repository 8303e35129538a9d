"""The stages as pyspark.ml has them: for notebooks, `Pipeline` and `CrossValidator`.

    frames -> VideoStatistics -> PCAWhitening -> LogisticOneVsAll | HingeOneVsAll | MoEOneVsAll
           -> predictions -> VideoTaggingEvaluator

Each is thin over `yt8m_spark.spark`, where the work and its errors are told of. Every stage takes
one of the project's tables and gives the next (frames, videos, features, predictions); other
columns do not pass through. Fitted stages keep their values in a folder that all Spark tasks must
see: below ``workDir``, which you should set on a cluster, or below a temporary folder that is
removed when Python ends. ``save`` makes a copy that stays.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyspark.ml import Estimator, Model, Transformer
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLWritable,
    MLWriter,
)
from pyspark.sql import DataFrame

from yt8m_spark.artifacts import check_output_free
from yt8m_spark.core.entity_ids import parse_entities
from yt8m_spark.core.statistics import STATISTICS
from yt8m_spark.core.training import TrainingOptions
from yt8m_spark.errors import InputError
from yt8m_spark.spark.evaluation import evaluate_predictions
from yt8m_spark.spark.schemas import frame_features, video_features
from yt8m_spark.spark.scoring import predict
from yt8m_spark.spark.statistics import aggregate_videos, frame_widths
from yt8m_spark.spark.training import prepare_shards, train_entities
from yt8m_spark.spark.whitening import fit_columns, normalize_videos, save_whitening

__all__ = [
    "EntityModel",
    "HingeOneVsAll",
    "LogisticOneVsAll",
    "MoEOneVsAll",
    "PCAWhitening",
    "PCAWhiteningModel",
    "VideoStatistics",
    "VideoTaggingEvaluator",
]

_STRINGS, _TEXT = TypeConverters.toListString, TypeConverters.toString
_INT, _FLOAT = TypeConverters.toInt, TypeConverters.toFloat


def _param(name: str, doc: str, converter: Any) -> Param[Any]:
    return Param(Params._dummy(), name, doc, converter)


class _StageReader(DefaultParamsReader[Any]):
    """Reads what `_StageWriter` wrote; a fitted stage then works from the saved folder."""

    def load(self, path: str) -> Any:
        stage = super().load(path)
        if isinstance(stage, _Fitted):
            stage._set(path=str(Path(path).resolve() / "fitted"))
        return stage


class _StageWriter(MLWriter):
    """Writes parameters as pyspark.ml does, and the folder of a fitted stage beside them.

    pyspark.ml's own writer needs a JVM beside Python to overwrite, which Spark Connect has not.
    """

    def __init__(self, stage: _Stage) -> None:
        super().__init__()
        self._stage = stage

    def save(self, path: str) -> None:
        """Write to the folder ``path``."""
        target = str(Path(path).resolve())
        fitted = [self._stage.folder()] if isinstance(self._stage, _Fitted) else []
        check_output_free(target, overwrite=self.shouldOverwrite, inputs=fitted)
        shutil.rmtree(target, ignore_errors=True)
        DefaultParamsWriter.saveMetadata(self._stage, target, self.sparkSession)
        for folder in fitted:
            shutil.copytree(folder, Path(target) / "fitted")


class _Stage(Params, MLWritable, MLReadable[Any]):
    """Any stage: parameters that can be saved and loaded."""

    def write(self) -> MLWriter:
        """Writer of this stage."""
        return _StageWriter(self)

    @classmethod
    def read(cls) -> Any:
        """Reader of stages of this class."""
        return _StageReader(cls)  # type: ignore[arg-type]

    def _set_given(self, values: Mapping[str, Any]) -> None:
        """Set the parameters that were given; None keeps the default."""
        self._set(**{name: value for name, value in values.items() if value is not None})

    def _value(self, name: str) -> Any:
        """Value of parameter ``name``; None if it has none."""
        param = self.getParam(name)
        return self.getOrDefault(param) if self.isDefined(param) else None


class _Fitted(_Stage):
    """A fitted stage, whose values are in a folder."""

    path = _param("path", "folder of the fitted values, seen by all tasks", _TEXT)

    def folder(self) -> str:
        """Folder of the fitted values."""
        return str(self._value("path"))


class VideoStatistics(Transformer, _Stage):
    """Frames table to videos table: mean, standard deviation and top 5 (paper §4.2.2, Eq. 2).

    Parameters
    ----------
    features : list of str, optional
        Feature lists to take; default all there are.
    statistics : list of str
        Of "mean", "std", "top5".
    """

    features = _param("features", "feature lists to take (default: all there are)", _STRINGS)
    statistics = _param("statistics", "of mean, std, top5", _STRINGS)

    def __init__(
        self, *, features: Sequence[str] | None = None, statistics: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        self._setDefault(statistics=list(STATISTICS))
        self._set_given({"features": features, "statistics": statistics})

    def _transform(self, dataset: DataFrame) -> DataFrame:
        lists = self._value("features") or frame_features(dataset.schema)
        return aggregate_videos(dataset, frame_widths(dataset, lists), self._value("statistics"))


class PCAWhitening(Estimator["PCAWhiteningModel"], _Stage):
    """Fit PCA whitening of a videos table (paper §4.2.2).

    Parameters
    ----------
    inputCols : list of str, optional
        array<float> columns, set side by side; default all there are.
    nComponents : int, optional
        Components kept; default all.
    ridge : float
        Added to each variance, as a share of the mean one; default 1.
    workDir : str, optional
        Folder for fitted values, on storage that all tasks see.
    """

    inputCols = _param("inputCols", "columns, side by side (default: all there are)", _STRINGS)
    nComponents = _param("nComponents", "components kept (default: all)", _INT)
    ridge = _param("ridge", "added to each variance, as a share of the mean one", _FLOAT)
    workDir = _param("workDir", "folder for fitted values, seen by all tasks", _TEXT)

    def __init__(
        self,
        *,
        inputCols: Sequence[str] | None = None,
        nComponents: int | None = None,
        ridge: float | None = None,
        workDir: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(ridge=1.0)
        self._set_given(
            {
                "inputCols": inputCols,
                "nComponents": nComponents,
                "ridge": ridge,
                "workDir": workDir,
            }
        )

    def _fit(self, dataset: DataFrame) -> PCAWhiteningModel:
        columns = self._value("inputCols") or video_features(dataset.schema)
        whitening, _ = fit_columns(
            dataset, columns, n_components=self._value("nComponents"), ridge=self._value("ridge")
        )
        folder = _new_folder(self._value("workDir"))
        save_whitening(folder, whitening, columns)
        return PCAWhiteningModel(folder)


class PCAWhiteningModel(Model, _Fitted):
    """Videos table to features table: whitened, then of length 1."""

    def __init__(self, folder: str | None = None) -> None:
        super().__init__()
        self._set_given({"path": folder})

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return normalize_videos(dataset, self.folder())


class _OneVsAll(Estimator["EntityModel"], _Stage):
    """Train one classifier for each entity of a features table (paper §4.3)."""

    _loss: str

    epochs = _param("epochs", "passes over the videos", _INT)
    learningRate = _param("learningRate", "of AdaGrad", _FLOAT)
    batchSize = _param("batchSize", "videos of a mini-batch", _INT)
    l2 = _param("l2", "weight of ½|w|² in the loss", _FLOAT)
    seed = _param("seed", "of the order of videos and of first weights", _INT)
    entities = _param("entities", "ids and ranges: 0-199,305 (default: all labels)", _TEXT)
    blockSize = _param("blockSize", "entities a task", _INT)
    topK = _param("topK", "entities kept for each video", _INT)
    workDir = _param("workDir", "folder for models, seen by all tasks", _TEXT)

    def __init__(
        self,
        *,
        epochs: int | None = None,
        learningRate: float | None = None,
        l2: float | None = None,
        seed: int | None = None,
        entities: str | None = None,
        topK: int | None = None,
        workDir: str | None = None,
    ) -> None:
        super().__init__()
        given = TrainingOptions()
        self._setDefault(
            epochs=given.n_epochs,
            learningRate=given.learning_rate,
            batchSize=given.batch_size,
            l2=given.l2,
            seed=given.seed,
            topK=20,
        )
        self._set_given(
            {
                "epochs": epochs,
                "learningRate": learningRate,
                "l2": l2,
                "seed": seed,
                "entities": entities,
                "topK": topK,
                "workDir": workDir,
            }
        )

    def _n_experts(self) -> int:
        return 1

    def _fit(self, dataset: DataFrame) -> EntityModel:
        options = TrainingOptions(
            learning_rate=self._value("learningRate"),
            batch_size=self._value("batchSize"),
            n_epochs=self._value("epochs"),
            l2=self._value("l2"),
            seed=self._value("seed"),
        )
        chosen = self._value("entities")
        folder = _new_folder(self._value("workDir"))
        work = f"{folder}.work"
        train_entities(
            dataset.sparkSession,
            prepare_shards(dataset, work),
            work,
            folder,
            loss=self._loss,
            n_experts=self._n_experts(),
            options=options,
            entities=None if chosen is None else parse_entities(chosen),
            block_size=self._value("blockSize"),
        )
        shutil.rmtree(work)
        return EntityModel(folder, topK=self._value("topK"))


class LogisticOneVsAll(_OneVsAll):
    """One logistic regression for each entity (paper §4.3.1)."""

    _loss = "logistic"


class HingeOneVsAll(_OneVsAll):
    """One linear support vector machine for each entity (paper §4.3.2)."""

    _loss = "hinge"


class MoEOneVsAll(_OneVsAll):
    """One mixture of experts for each entity (paper §4.3.3); ``nExperts`` is H, 2 by default."""

    _loss = "moe"

    nExperts = _param("nExperts", "experts of a mixture, H", _INT)

    def __init__(
        self,
        *,
        nExperts: int | None = None,
        epochs: int | None = None,
        learningRate: float | None = None,
        l2: float | None = None,
        seed: int | None = None,
        entities: str | None = None,
        topK: int | None = None,
        workDir: str | None = None,
    ) -> None:
        super().__init__(
            epochs=epochs,
            learningRate=learningRate,
            l2=l2,
            seed=seed,
            entities=entities,
            topK=topK,
            workDir=workDir,
        )
        self._setDefault(nExperts=2)
        self._set_given({"nExperts": nExperts})

    def _n_experts(self) -> int:
        return int(self._value("nExperts"))


class EntityModel(Model, _Fitted):
    """Features table to predictions table: the ``topK`` best entities of each video."""

    topK = _param("topK", "entities kept for each video", _INT)

    def __init__(self, folder: str | None = None, *, topK: int | None = None) -> None:
        super().__init__()
        self._setDefault(topK=20)
        self._set_given({"path": folder, "topK": topK})

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return predict(dataset, self.folder(), self._value("topK"))


class VideoTaggingEvaluator(Evaluator, _Stage):
    """One metric of a predictions table (paper §5.1).

    Parameters
    ----------
    metricName : str
        ``gap_at_20`` by default, or ``map, hit_at_1, hit_at_5, perr, starter_*``. Note that ``map``
        counts what ``topK`` cut off as not predicted: raise it to the number of entities for the
        paper's figure.
    """

    metricName = _param("metricName", "metric to give", _TEXT)

    def __init__(self, *, metricName: str | None = None) -> None:
        super().__init__()
        self._setDefault(metricName="gap_at_20")
        self._set_given({"metricName": metricName})

    def _evaluate(self, dataset: DataFrame) -> float:
        metrics = evaluate_predictions(dataset).metrics
        name = self._value("metricName")
        if name not in metrics:
            expected = "one of " + ", ".join(metrics)
            raise InputError("unknown metricName", expected=expected, found=name)
        return metrics[name]

    def isLargerBetter(self) -> bool:  # noqa: N802
        """Every metric here is."""
        return True


def _new_folder(work_dir: str | None) -> str:
    """Name of a folder that is not there yet."""
    parent = Path(work_dir).resolve() if work_dir else _temporary_folder()
    parent.mkdir(parents=True, exist_ok=True)
    return str(parent / uuid.uuid4().hex)


@lru_cache(maxsize=1)
def _temporary_folder() -> Path:
    """A folder of this process, removed when it ends: DataFrames may outlive their model."""
    folder = tempfile.mkdtemp(prefix="yt8m_spark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
