"""Read a trained model from its folder, with NumPy and Arrow alone: no Spark.

    scorer = load_scorer("model")
    entities, scores = top_k_videos(scorer, features, 20)

A model is ``entities/*.parquet``, one row an entity, + model.json. That of a network (§4.1.2,
§4.1.3) has ``weights.safetensors`` beside them, which `yt8m_spark.network_scorer` reads; what is
here tells the two apart. Axes: E entities, R weight vectors an entity (1; MoE 2H), D features.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from yt8m_spark.artifacts import load_json
from yt8m_spark.core.frame_sampling import FrameOptions
from yt8m_spark.core.losses import LossFamily, loss_family
from yt8m_spark.core.scoring import Scorer
from yt8m_spark.errors import InputError

__all__ = [
    "WEIGHTS",
    "check_model",
    "entity_columns",
    "is_network",
    "load_scorer",
    "model_family",
    "model_files",
    "model_frames",
    "read_description",
]

Ints = NDArray[np.int64]

WEIGHTS = "weights.safetensors"  # of a network
_COUNTS, _MOST = ("n_entities", "n_experts", "n_features"), 2**31 - 1  # and none is more


def read_description(folder: str) -> dict[str, Any]:
    """model.json of the model in ``folder``.

    Raises
    ------
    InputError
        If ``folder`` holds no model, or a count of its description is none.
    """
    described, where = load_json(Path(folder) / "model.json"), str(Path(folder) / "model.json")
    missing = {"loss", *_COUNTS} - described.keys()
    if missing:
        raise InputError("not a model's description", where=where, expected=sorted(missing))
    for name in _COUNTS:
        count = described[name]
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST:
            expected = f"a number from 1 to {_MOST}"
            raise InputError(f"wrong {name}", where=where, expected=expected, found=repr(count))
    return described


def is_network(folder: str) -> bool:
    """Whether the model in ``folder`` is a network, as train_deep makes, not a row an entity.

    Raises
    ------
    InputError
        If ``folder`` holds no model.
    """
    return "network" in read_description(folder)


def model_files(folder: str) -> list[Path]:
    """All files that the model in ``folder`` is made of, model.json first.

    Raises
    ------
    InputError
        If ``folder`` holds no model, or no files of entities.
    """
    weights = [Path(folder) / WEIGHTS] if is_network(folder) else []
    return [Path(folder) / "model.json", *_files(folder), *weights]


def model_family(described: dict[str, Any]) -> LossFamily:
    """Loss family that a model's description names.

    Raises
    ------
    InputError
        If there is no such family, or the model is a network.
    """
    if "network" in described:
        raise InputError(
            "model is a network, whose entities have no weights of their own",
            where="model.json",
            expected="a model of train_entities",
            found=described["network"],
        )
    try:
        return loss_family(described["loss"], int(described["n_experts"]))
    except ValueError as error:
        raise InputError(str(error), where="model.json") from None


def model_frames(folder: str) -> FrameOptions | None:
    """How the model in ``folder`` sees frames; None if it was trained on features of videos.

    Raises
    ------
    InputError
        If ``folder`` holds no model, or its frames are not of its feature width.
    """
    described = read_description(folder)
    frames = described.get("frames")
    if frames is None and "network" not in described:
        return None
    where = str(Path(folder) / "model.json")
    options = FrameOptions.from_description(frames or {}, where)
    if options.width != described["n_features"]:
        raise InputError(
            "frames are not of the model's width",
            where=where,
            expected=described["n_features"],
            found=options.width,
        )
    return options


def check_model(folder: str) -> None:
    """Refuse a folder that holds no whole model, without reading its weights.

    Raises
    ------
    InputError
        As `load_scorer`, but for weights of the wrong width, which only reading them tells.
    """
    described = read_description(folder)
    if "network" in described:
        _check_weights(Path(folder) / WEIGHTS)
    else:
        model_family(described)
    _read_entities(folder, int(described["n_entities"]))


def entity_columns(folder: str, columns: list[str]) -> pa.Table:
    """``columns`` of the entities of the model in ``folder``, in the order of its files.

    Raises
    ------
    InputError
        If there are no files of entities, or one cannot be read or lacks a column.
    """
    return pa.concat_tables(_read(path, columns) for path in _files(folder))


def load_scorer(folder: str) -> Scorer:
    """Model in ``folder``, in memory; read once for each process and model, the last one kept.

    While it is read there are the model, 4 R E (D + 1) bytes, and one of its files, not two models.
    The arrays are not to be written to: all callers share them.

    Raises
    ------
    InputError
        If ``folder`` holds no model, or its rows do not fit its description; or a network.
    """
    path = Path(folder).resolve()
    described = path / "model.json"
    model_family(read_description(str(path)))
    digest = hashlib.sha256(described.read_bytes()).hexdigest()
    return _cached_scorer(str(path), digest, described.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _cached_scorer(folder: str, _digest: str, _written: int) -> Scorer:
    described = read_description(folder)
    family, n_features = model_family(described), int(described["n_features"])
    entities = _read_entities(folder, int(described["n_entities"]))
    weights = np.empty((family.n_rows, len(entities), n_features), dtype=np.float32)
    bias = np.empty((family.n_rows, len(entities)), dtype=np.float32)
    for path in _files(folder):
        for batch in _read(path, ["entity", "weights", "bias"]).to_batches():
            found = batch.column("entity").to_numpy()
            shape = len(found), family.n_rows, n_features
            places = np.searchsorted(entities, found)
            weights[:, places] = _weights(batch.column("weights"), shape, found, path).swapaxes(
                0, 1
            )
            bias[:, places] = _bias(batch.column("bias"), shape, found, path).T
    for array in (weights, bias):
        array.flags.writeable = False
    return Scorer(family, entities, weights, bias)


def _check_weights(path: Path) -> None:
    """Refuse a file that is no whole safetensors file, by its header and length alone."""
    try:
        with path.open("rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(n_header, 1 << 28)))
        ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
        expected, found = 8 + n_header + max(ends, default=0), path.stat().st_size
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InputError("not a safetensors file", where=str(path)) from None
    if found != expected:
        raise InputError(
            "file of weights is cut short or too long",
            where=str(path),
            expected=f"{expected} bytes",
            found=found,
        )


def _read_entities(folder: str, n_entities: int) -> Ints:
    """Entities of the model, (E,) ascending; none lost, and none of another training."""
    files = _files(folder)
    columns = [_read(path, ["entity"]).column(0) for path in files]
    if any(column.null_count or not pa.types.is_integer(column.type) for column in columns):
        raise _unreadable(folder, "entities that are no numbers")
    entities = np.concatenate([column.to_numpy().astype(np.int64) for column in columns])
    different = np.unique(entities)
    if not len(different) == len(entities) == n_entities:
        raise InputError(
            "entities are not those of model.json",
            where=str(Path(folder) / "entities"),
            expected=f"{n_entities}, each once",
            found=f"{len(entities)}, {len(different)} of them different",
        )
    return different


def _files(folder: str) -> list[Path]:
    files = sorted((Path(folder) / "entities").glob("[!._]*.parquet"))
    if not files:
        raise _unreadable(folder, "no Parquet file")
    return files


def _read(path: Path, columns: list[str]) -> pa.Table:
    """``columns`` of one file; its rows of weights stay bytes, no Python object each."""
    try:
        table = pq.ParquetFile(path).read(columns=columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(str(path.parent.parent), error, path.name) from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise _unreadable(str(path.parent.parent), f"no column {missing[0]!r}", path.name)
    return table


def _unreadable(folder: str, found: object, name: str = "") -> InputError:
    where = str(Path(folder) / "entities" / name)
    return InputError("cannot read the model's entities", where=where, found=found)


def _weights(
    column: pa.Array, shape: tuple[int, int, int], entities: Ints, path: Path
) -> NDArray[np.float32]:
    """Binary ``column`` as weights of ``shape`` (E, R, D), a view of its bytes."""
    column = column.cast(pa.large_binary())
    lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy()
    _check(lengths, 4 * shape[1] * shape[2], "bytes", shape, entities, path)
    _, ends, data = column.buffers()
    first = int(np.frombuffer(ends, np.int64)[column.offset]) if len(column) else 0
    flat = np.frombuffer(data or b"", "<f4", count=int(np.prod(shape)), offset=first)
    return flat.reshape(shape)


def _bias(
    column: pa.Array, shape: tuple[int, int, int], entities: Ints, path: Path
) -> NDArray[np.float32]:
    """List ``column`` as biases (E, R)."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    _check(lengths, shape[1], "biases", shape, entities, path)
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(shape[:2])


def _check(
    lengths: Ints, expected: int, unit: str, shape: tuple[int, int, int], entities: Ints, path: Path
) -> None:
    """Refuse a row of another length than model.json tells."""
    wrong = lengths != expected
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            "weights do not fit model.json",
            where=f"{path}, entity {entities[row]}",
            expected=f"{shape[1]} x {shape[2]} float32 and {shape[1]} biases",
            found=f"{lengths[row]} {unit}",
        )
