"""Read what a model is to score, and check that it can, before any task runs."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from yt8m_spark.errors import InputError
from yt8m_spark.scorer import model_frames, read_description
from yt8m_spark.spark.frame_sampling import frames_of
from yt8m_spark.spark.provenance import check_same_whitening
from yt8m_spark.spark.scoring import scorable
from yt8m_spark.spark.storage import is_remote, match_files
from yt8m_spark.spark.tables import is_table, read_input, read_table

__all__ = ["read_scoring_input"]


def read_scoring_input(spark: SparkSession, source: str, model: str) -> DataFrame:
    """Table at ``source`` for the model in the folder ``model``.

    Parameters
    ----------
    spark : SparkSession
    source : str
        For a model of video features a features table; for a model of frames or a network a frames
        table, or frame-level TFRecord shards (a glob or folder).
    model : str

    Raises
    ------
    InputError
        If ``model`` is none, the input is of the other kind or has other columns, or features are
        of another width or another whitening than the model's.
    """
    check_same_whitening(source, model)
    if model_frames(model) is not None:
        frames = read_input(spark, source, level="frame")
        scorable(frames, model)
        return frames
    _check_video_features(source, model)
    table = read_table(spark, source)
    _check_width(scorable(table, model), source, model)
    return table


def _check_video_features(source: str, model: str) -> None:
    """Refuse frames by what is known without reading them: each would be scored as a video."""
    found = None
    if frames_of(source) is not None:
        found = "features of single frames"
    elif not is_table(source) and not is_remote(source) and _has_shards(source):
        found = "TFRecord shards"
    if found:
        expected = "a features table, as normalize_videos makes"
        raise InputError(
            f"model {model} is of video features", where=source, expected=expected, found=found
        )


def _has_shards(source: str) -> bool:
    try:
        return bool(match_files(source))
    except InputError:
        return False


def _check_width(features: DataFrame, source: str, model: str) -> None:
    """Refuse a table whose first row has another width than the model; others a task refuses."""
    row = features.where("features is not null").select(F.size("features").alias("width")).first()
    expected = int(read_description(model)["n_features"])
    if row is not None and row.width != expected:
        raise InputError(
            "feature width is not the model's", where=source, expected=expected, found=row.width
        )
