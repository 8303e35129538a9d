"""A trained model on storage: a folder of ``entities/*.parquet``, one row an entity, + model.json.

Axes: R weight vectors an entity (1; MoE 2H), E entities, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from yt8m_spark.artifacts import load_json, staged_file
from yt8m_spark.core.losses import LossFamily, loss_family
from yt8m_spark.core.scoring import Scorer
from yt8m_spark.core.training import BlockState
from yt8m_spark.errors import InputError

__all__ = ["TrainedBlock", "load_scorer", "model_family", "read_description", "write_block"]

ENTITY_ROW = pa.schema(
    [
        ("entity", pa.int32()),
        ("loss", pa.string()),
        ("weights", pa.binary()),  # R x D float32, little-endian, row-major
        ("bias", pa.list_(pa.float32())),  # R
        ("n_positives", pa.int64()),
        ("loss_history", pa.list_(pa.float32())),  # mean loss of each pass
        ("accumulator", pa.binary()),  # R x (D + 1) float32, AdaGrad's state of training
    ]
)


class TrainedBlock(NamedTuple):
    """What a mapper has to tell of its entities."""

    entities: NDArray[np.int64]  # (E,)
    n_positives: NDArray[np.int64]  # (E,)
    state: BlockState
    losses: NDArray[np.float64]  # (passes, E)


def write_block(path: Path, block: TrainedBlock, loss: str) -> None:
    """Write ``block`` as one Parquet file, whole or not at all.

    Raises
    ------
    InputError
        If a weight is not finite: every score of that entity would be NaN.
    """
    finite = np.isfinite(block.state.weights).all(axis=(0, 2))
    if not finite.all():
        raise InputError(
            "training diverged",
            where=f"entity {block.entities[np.argmin(finite)]}",
            expected="features of length 1 and a learning rate near 1",
            found="weights that are not finite",
        )
    weights = np.ascontiguousarray(block.state.weights.transpose(1, 0, 2))  # (E, R, D + 1)
    accumulator = np.ascontiguousarray(block.state.accumulator.transpose(1, 0, 2))
    columns: dict[str, Sequence[Any]] = {
        "entity": block.entities.tolist(),
        "loss": [loss] * len(weights),
        "weights": [np.ascontiguousarray(w[:, :-1], dtype="<f4").tobytes() for w in weights],
        "bias": [w[:, -1].tolist() for w in weights],
        "n_positives": block.n_positives.tolist(),
        "loss_history": block.losses.T.astype(np.float32).tolist(),
        "accumulator": [a.astype("<f4").tobytes() for a in accumulator],
    }
    table = pa.Table.from_pydict(columns, schema=ENTITY_ROW)
    with staged_file(path) as temporary:
        # Weights do not compress; dictionaries of them only cost time.
        pq.write_table(table, temporary, compression="none", use_dictionary=["loss"])


def read_description(folder: str) -> dict[str, Any]:
    """model.json of the model in ``folder``.

    Raises
    ------
    InputError
        If ``folder`` holds no model.
    """
    described = load_json(Path(folder) / "model.json")
    missing = {"loss", "n_entities", "n_experts", "n_features"} - described.keys()
    if missing:
        where = str(Path(folder) / "model.json")
        raise InputError("not a model's description", where=where, expected=sorted(missing))
    return described


def model_family(described: dict[str, Any]) -> LossFamily:
    """Loss family that a model's description names.

    Raises
    ------
    InputError
        If there is no such family.
    """
    try:
        return loss_family(described["loss"], int(described["n_experts"]))
    except ValueError as error:
        raise InputError(str(error), where="model.json") from None


def load_scorer(folder: str) -> Scorer:
    """Model in ``folder``, in memory: 4 R E (D + 1) bytes; once for each process and model.

    Raises
    ------
    InputError
        If ``folder`` holds no model, or its rows do not fit its description.
    """
    path = Path(folder) / "model.json"
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    return _cached_scorer(folder, stamp)


@lru_cache(maxsize=1)
def _cached_scorer(folder: str, _stamp: int) -> Scorer:
    described = read_description(folder)
    family, n_features = model_family(described), int(described["n_features"])
    table = _read_entities(folder)
    order = np.argsort(table["entity"].to_numpy())
    entities = table["entity"].to_numpy()[order].astype(np.int64)
    _check_entities(folder, entities, int(described["n_entities"]))
    weights = np.empty((family.n_rows, len(entities), n_features + 1), dtype=np.float32)
    rows, biases = table["weights"].to_pylist(), table["bias"].to_pylist()
    for place, i in enumerate(order):
        if len(rows[i]) != 4 * family.n_rows * n_features or len(biases[i]) != family.n_rows:
            raise InputError(
                "weights do not fit model.json",
                where=f"{folder}, entity {entities[place]}",
                expected=f"{family.n_rows} x {n_features} float32",
                found=f"{len(rows[i])} bytes",
            )
        flat = np.frombuffer(rows[i], dtype="<f4")
        weights[:, place, :-1] = flat.reshape(family.n_rows, n_features)
        weights[:, place, -1] = biases[i]
    return Scorer(family, entities, weights)


def _check_entities(folder: str, entities: NDArray[np.int64], n_entities: int) -> None:
    """Refuse a model that has lost a file, or holds one of another training."""
    found = len(entities)
    if found != n_entities or (np.diff(entities) <= 0).any():
        where = str(Path(folder) / "entities")
        raise InputError(
            "entities are not those of model.json",
            where=where,
            expected=f"{n_entities}, each once",
            found=f"{found}, {len(np.unique(entities))} of them different",
        )


def _read_entities(folder: str) -> pa.Table:
    try:
        dataset = ds.dataset(Path(folder) / "entities", format="parquet")
        return dataset.to_table(columns=["entity", "weights", "bias"])
    except (OSError, pa.ArrowInvalid) as error:
        where = str(Path(folder) / "entities")
        raise InputError("cannot read the model's entities", where=where, found=error) from None
