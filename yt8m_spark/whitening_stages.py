"""Whitening as pyspark.ml stages; `yt8m_spark.ml` is where to import them from."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.ml import Estimator, Model
from pyspark.ml.param import TypeConverters
from pyspark.sql import DataFrame

from yt8m_spark.spark.schemas import video_features
from yt8m_spark.spark.whitening import fit_columns, normalize_videos
from yt8m_spark.stages import FittedStage, Stage, new_folder, stage_param
from yt8m_spark.whitening_files import save_whitening

__all__ = ["PCAWhitening", "PCAWhiteningModel"]

_STRINGS, _TEXT = TypeConverters.toListString, TypeConverters.toString
_INT, _FLOAT, _BOOL = TypeConverters.toInt, TypeConverters.toFloat, TypeConverters.toBoolean


class PCAWhitening(Estimator["PCAWhiteningModel"], Stage):
    """Fit PCA whitening of a videos table (paper §4.2.2).

    Parameters
    ----------
    inputCols : list of str, optional
        array<float> columns, set side by side; default all there are.
    nComponents : int, optional
        Components kept; default all.
    explainedVariance : float, optional
        Instead: keep the fewest components that hold this share of the variance.
    ridge : float
        Added to each variance, as a share of the mean one; default 10.
    method : str
        "pca" by default; "zca" rotates back to the features; "none" only subtracts the mean.
    l2Normalize : bool
        Make features of length 1; default True.
    workDir : str, optional
        Folder for fitted values, on storage that all tasks see.
    """

    inputCols = stage_param("inputCols", "columns, side by side (default: all there are)", _STRINGS)
    nComponents = stage_param("nComponents", "components kept (default: all)", _INT)
    explainedVariance = stage_param(
        "explainedVariance", "instead: keep what holds this share of the variance", _FLOAT
    )
    ridge = stage_param("ridge", "added to each variance, as a share of the mean one", _FLOAT)
    method = stage_param("method", "pca, zca or none", _TEXT)
    l2Normalize = stage_param("l2Normalize", "make features of length 1", TypeConverters.toBoolean)
    workDir = stage_param("workDir", "folder for fitted values, seen by all tasks", _TEXT)

    def __init__(
        self,
        *,
        inputCols: Sequence[str] | None = None,
        nComponents: int | None = None,
        explainedVariance: float | None = None,
        ridge: float | None = None,
        method: str | None = None,
        l2Normalize: bool | None = None,
        workDir: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(ridge=10.0, method="pca", l2Normalize=True)
        self.set_given(
            {
                "inputCols": inputCols,
                "nComponents": nComponents,
                "explainedVariance": explainedVariance,
                "ridge": ridge,
                "method": method,
                "l2Normalize": l2Normalize,
                "workDir": workDir,
            }
        )

    def _fit(self, dataset: DataFrame) -> PCAWhiteningModel:
        columns = self.value("inputCols") or video_features(dataset.schema)
        folder = new_folder(self.value("workDir"))
        whitening, fitted = fit_columns(
            dataset,
            columns,
            n_components=self.value("nComponents"),
            explained_variance=self.value("explainedVariance"),
            ridge=self.value("ridge"),
            method=self.value("method"),
            l2_normalize=self.value("l2Normalize"),
            work=f"{folder}.tiles",
        )
        save_whitening(folder, whitening, columns, fitted.widths)
        return PCAWhiteningModel(folder)


class PCAWhiteningModel(Model, FittedStage):
    """Videos table to features table: whitened, then, unless told otherwise, of length 1."""

    def __init__(self, folder: str | None = None) -> None:
        super().__init__()
        self.set_given({"path": folder})

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return normalize_videos(dataset, self.folder())
