"""What a network has learned to see, as features: its last layer before the output (§5.4).

Axes: B videos, A activations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame

from yt8m_spark.artifacts import save_json
from yt8m_spark.calibration import model_digest
from yt8m_spark.core.whitening import l2_normalize
from yt8m_spark.errors import InputError
from yt8m_spark.network_scorer import is_network, load_scored_network, network_activations
from yt8m_spark.spark.arrow import float_lists, typed_batch
from yt8m_spark.spark.counted import counted
from yt8m_spark.spark.frame_sampling import frame_lists
from yt8m_spark.spark.provenance import MARK
from yt8m_spark.spark.schemas import FEATURES, arrow_schema
from yt8m_spark.spark.scoring import batch_slices, scorable

__all__ = ["check_has_activations", "export_activations", "mark_activations"]

_VIDEOS_AT_ONCE = 256


def export_activations(
    frames: DataFrame, model: str, *, normalize: bool = True, heartbeats: str | None = None
) -> DataFrame:
    """Features table of a network's activations: video_id, labels, features (A numbers).

    Paper: §5.4, of an LSTM the outputs of its layers at the last frame, side by side; of DBoF the
    layer before the output.

    Parameters
    ----------
    frames : DataFrame
        Frames table with the feature lists of the network.
    model : str
        Folder of the network, which all tasks must see.
    normalize : bool
        Scale the vector of a video to length 1, as features of videos are (§4.2.2), which is what
        the learning rate of train_entities is for. A vector of zeros, which a video without frames
        has, stays as it is.
    heartbeats : str, optional
        Folder in which tasks count finished videos.

    Raises
    ------
    InputError
        If ``model`` is no network, or ``frames`` no frames table with its feature lists.
    """
    model = str(Path(model).resolve())  # tasks may run in another directory
    check_has_activations(model)
    columns = scorable(frames, model)
    task = partial(_export_partition, model=model, normalize=normalize)
    return columns.mapInArrow(counted(task, heartbeats), FEATURES)


def check_has_activations(model: str) -> None:
    """Refuse a folder that holds no network.

    Raises
    ------
    InputError
        If ``model`` is none.
    """
    if not is_network(model):
        raise InputError("model has no activations", where=model, expected="one of train_deep")


def mark_activations(features_folder: str, model: str, *, normalize: bool) -> None:
    """Note in ``features_folder`` of which network its features are, and whether of length 1.

    A model that is trained on them then refuses the activations of another network, which may be
    as many, as it refuses features of another whitening.
    """
    digest = hashlib.sha256(f"{model_digest(model)} {normalize}".encode()).hexdigest()
    save_json(Path(features_folder) / MARK, {"digest": digest, "columns": ["activations"]})


def _export_partition(
    batches: Iterable[pa.RecordBatch], model: str, *, normalize: bool
) -> Iterator[pa.RecordBatch]:
    network = load_scored_network(model)
    schema = arrow_schema(FEATURES)
    for batch in batch_slices(batches, _VIDEOS_AT_ONCE):
        found = network_activations(network, frame_lists(batch, network.features))
        found = l2_normalize(found) if normalize else found
        arrays = [batch.column("video_id"), batch.column("labels"), float_lists(found)]
        yield typed_batch(arrays, schema)
