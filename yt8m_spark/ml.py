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

import shutil
from collections.abc import Sequence

from pyspark.ml import Estimator, Model, Transformer
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import TypeConverters
from pyspark.sql import DataFrame

from yt8m_spark.core.entity_ids import parse_entities
from yt8m_spark.core.statistics import STATISTICS
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.errors import InputError
from yt8m_spark.positive_weights import positive_weights
from yt8m_spark.spark.evaluation import evaluate_predictions
from yt8m_spark.spark.schemas import frame_features
from yt8m_spark.spark.scoring import predict
from yt8m_spark.spark.statistics import aggregate_videos, frame_widths
from yt8m_spark.spark.training import Extras, prepare_shards, train_entities
from yt8m_spark.stages import FittedStage, Stage, new_folder, stage_param
from yt8m_spark.whitening_stages import PCAWhitening, PCAWhiteningModel

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


class VideoStatistics(Transformer, Stage):
    """Frames table to videos table: mean, standard deviation and top 5 (paper §4.2.2, Eq. 2).

    Parameters
    ----------
    features : list of str, optional
        Feature lists to take; default all there are.
    statistics : list of str
        Of "mean", "std", "top5", ... and "vlad", "fisher" (§4.1.2).
    codebook : str, optional
        Folder of the codebooks of "vlad" and "fisher", which all tasks must see; ``save`` keeps
        its path, no copy.
    """

    features = stage_param("features", "feature lists to take (default: all there are)", _STRINGS)
    statistics = stage_param("statistics", "of mean, std, top5, vlad, fisher", _STRINGS)
    codebook = stage_param("codebook", "folder of codebooks, for vlad and fisher", _TEXT)

    def __init__(
        self,
        *,
        features: Sequence[str] | None = None,
        statistics: Sequence[str] | None = None,
        codebook: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(statistics=list(STATISTICS))
        self.set_given({"features": features, "statistics": statistics, "codebook": codebook})

    def _transform(self, dataset: DataFrame) -> DataFrame:
        lists = self.value("features") or frame_features(dataset.schema)
        widths = frame_widths(dataset, lists)
        return aggregate_videos(
            dataset, widths, self.value("statistics"), codebook=self.value("codebook")
        )


class _OneVsAll(Estimator["EntityModel"], Stage):
    """Train one classifier for each entity of a features table (paper §4.3)."""

    _loss: str

    epochs = stage_param("epochs", "passes over the videos", _INT)
    learningRate = stage_param("learningRate", "of AdaGrad", _FLOAT)
    batchSize = stage_param("batchSize", "videos of a mini-batch", _INT)
    l2 = stage_param("l2", "weight of ½|w|² in the loss", _FLOAT)
    seed = stage_param("seed", "of the order of videos and of first weights", _INT)
    entities = stage_param("entities", "ids and ranges: 0-199,305 (default: all labels)", _TEXT)
    blockSize = stage_param("blockSize", "entities a task", _INT)
    topK = stage_param("topK", "entities kept for each video", _INT)
    positiveWeight = stage_param("positiveWeight", "a number, rare, balanced or a CSV file", _TEXT)
    workDir = stage_param("workDir", "folder for models, seen by all tasks", _TEXT)

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
            positiveWeight="rare",
            topK=20,
        )
        self.set_given(
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
            learning_rate=self.value("learningRate"),
            batch_size=self.value("batchSize"),
            n_epochs=self.value("epochs"),
            l2=self.value("l2"),
            seed=self.value("seed"),
        )
        chosen = self.value("entities")
        folder = new_folder(self.value("workDir"))
        work = f"{folder}.work"
        data = prepare_shards(dataset, work, seed=options.seed)
        ids = data.entities if chosen is None else parse_entities(chosen)
        weights = positive_weights(
            self.value("positiveWeight"), ids, data.n_positives(ids), data.shards.n_videos
        )
        train_entities(
            dataset.sparkSession,
            data,
            work,
            folder,
            loss=self._loss,
            n_experts=self._n_experts(),
            options=options,
            entities=ids,
            extras=Extras(positive_weights=weights),
            block_size=self.value("blockSize"),
        )
        shutil.rmtree(work)
        return EntityModel(folder, topK=self.value("topK"))


class LogisticOneVsAll(_OneVsAll):
    """One logistic regression for each entity (paper §4.3.1)."""

    _loss = "logistic"


class HingeOneVsAll(_OneVsAll):
    """One linear support vector machine for each entity (paper §4.3.2)."""

    _loss = "hinge"


class MoEOneVsAll(_OneVsAll):
    """One mixture of experts for each entity (paper §4.3.3); ``nExperts`` is H, 2 by default."""

    _loss = "moe"

    nExperts = stage_param("nExperts", "experts of a mixture, H", _INT)

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
        self.set_given({"nExperts": nExperts})

    def _n_experts(self) -> int:
        return int(self.value("nExperts"))


class EntityModel(Model, FittedStage):
    """Features table to predictions table: the ``topK`` best entities of each video."""

    topK = stage_param("topK", "entities kept for each video", _INT)

    def __init__(self, folder: str | None = None, *, topK: int | None = None) -> None:
        super().__init__()
        self._setDefault(topK=20)
        self.set_given({"path": folder, "topK": topK})

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return predict(dataset, self.folder(), self.value("topK"))


class VideoTaggingEvaluator(Evaluator, Stage):
    """One metric of a predictions table (paper §5.1).

    Parameters
    ----------
    metricName : str
        ``gap_at_20`` by default, or ``map, hit_at_1, hit_at_5, perr, starter_*``. Note that ``map``
        counts what ``topK`` cut off as not predicted: raise it to the number of entities for the
        paper's figure.
    """

    metricName = stage_param("metricName", "metric to give", _TEXT)

    def __init__(self, *, metricName: str | None = None) -> None:
        super().__init__()
        self._setDefault(metricName="gap_at_20")
        self.set_given({"metricName": metricName})

    def _evaluate(self, dataset: DataFrame) -> float:
        metrics = evaluate_predictions(dataset).metrics
        name = self.value("metricName")
        if name not in metrics:
            expected = "one of " + ", ".join(metrics)
            raise InputError("unknown metricName", expected=expected, found=name)
        return metrics[name]

    def isLargerBetter(self) -> bool:  # noqa: N802
        """Every metric here is."""
        return True
