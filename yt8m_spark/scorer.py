"""Read a trained model from its folder, with NumPy and Arrow alone: no Spark.

    scorer = load_scorer("model")
    entities, scores = top_k_videos(scorer, features, 20)

A model is ``entities/*.parquet``, one row an entity, + model.json. That of a network (§4.1.2,
§4.1.3) has ``weights.safetensors`` beside them, which `yt8m_spark.network_scorer` reads; one of two
stages has a model for each and the map between them, which `yt8m_spark.stack` reads. What is here
tells the three apart. Axes: E entities, R weight vectors an entity (1; MoE 2H), D features.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from yt8m_spark.artifacts import load_json
from yt8m_spark.core.frame_sampling import FrameOptions
from yt8m_spark.core.losses import LossFamily, loss_family
from yt8m_spark.core.scoring import Scorer
from yt8m_spark.entity_files import (
    bias_rows,
    entity_files,
    read_entities,
    read_rows,
    weight_rows,
)
from yt8m_spark.errors import InputError
from yt8m_spark.whitening_files import load_whitening

__all__ = [
    "FIRST",
    "MAP",
    "SECOND",
    "WEIGHTS",
    "check_model",
    "entity_columns",
    "is_network",
    "is_stack",
    "load_scorer",
    "model_family",
    "model_files",
    "model_frames",
    "read_description",
    "read_scorer",
]

Ints = NDArray[np.int64]

WEIGHTS = "weights.safetensors"  # of a network
FIRST, MAP, SECOND = "first", "map", "second"  # folders in that of a stack
_MAP_FILES = ("whitening.json", "whitening.npz")
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


def is_stack(folder: str) -> bool:
    """Whether the model in ``folder`` is one of two stages, as train_stack makes.

    Raises
    ------
    InputError
        If ``folder`` holds no model.
    """
    return "stack" in read_description(folder)


def model_files(folder: str) -> list[Path]:
    """All files that the model in ``folder`` is made of, model.json first.

    Raises
    ------
    InputError
        If ``folder`` holds no model, or no files of entities.
    """
    if is_stack(folder):
        stages = [model_files(str(Path(folder) / stage)) for stage in (FIRST, SECOND)]
        maps = [Path(folder) / MAP / name for name in _MAP_FILES]
        return [Path(folder) / "model.json", *stages[0], *maps, *stages[1]]
    weights = [Path(folder) / WEIGHTS] if is_network(folder) else []
    return [Path(folder) / "model.json", *entity_files(folder), *weights]


def model_family(described: dict[str, Any]) -> LossFamily:
    """Loss family that a model's description names.

    Raises
    ------
    InputError
        If there is no such family, or the model is a network or one of two stages.
    """
    if "stack" in described:
        raise InputError(
            "model is a stack of two stages, each with weights of its own",
            where="model.json",
            expected="a model of train_entities",
        )
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
    if "stack" in described:
        _check_stack(folder, described)
        return
    if "network" in described:
        _check_weights(Path(folder) / WEIGHTS)
    else:
        model_family(described)
    read_entities(folder, int(described["n_entities"]))


def entity_columns(folder: str, columns: list[str]) -> pa.Table:
    """``columns`` of the entities of the model in ``folder``, in the order of its files.

    Of a model of two stages they are those of the first, which has all its entities.

    Raises
    ------
    InputError
        If there are no files of entities, or one cannot be read or lacks a column.
    """
    first = Path(folder) / FIRST
    files = entity_files(str(first) if first.is_dir() and is_stack(folder) else folder)
    return pa.concat_tables(read_rows(path, columns) for path in files)


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
    return read_scorer(folder)


def read_scorer(folder: str) -> Scorer:
    """As `load_scorer`, read anew and kept by nobody else."""
    described = read_description(folder)
    family, n_features = model_family(described), int(described["n_features"])
    entities = read_entities(folder, int(described["n_entities"]))
    weights = np.empty((family.n_rows, len(entities), n_features), dtype=np.float32)
    bias = np.empty((family.n_rows, len(entities)), dtype=np.float32)
    for path in entity_files(folder):
        for batch in read_rows(path, ["entity", "weights", "bias"]).to_batches():
            found = batch.column("entity").to_numpy()
            shape = len(found), family.n_rows, n_features
            places = np.searchsorted(entities, found)
            weights[:, places] = weight_rows(batch.column("weights"), shape, found, path).swapaxes(
                0, 1
            )
            bias[:, places] = bias_rows(batch.column("bias"), shape, found, path).T
    for array in (weights, bias):
        array.flags.writeable = False
    return Scorer(family, entities, weights, bias)


def _check_stack(folder: str, described: dict[str, Any]) -> None:
    """Refuse a model of two stages of which a part is missing, damaged or of another stack."""
    stages = [str(Path(folder) / stage) for stage in (FIRST, SECOND)]
    for stage in stages:
        model_family(read_description(stage))  # neither a network nor a stack
        check_model(stage)
    first, second = map(read_description, stages)
    between = load_whitening(str(Path(folder) / MAP))[0]
    pairs = [
        (FIRST, "n_features", described["n_features"], first["n_features"]),
        (FIRST, "n_entities", described["n_entities"], first["n_entities"]),
        (MAP, "width", first["n_entities"], between.width),
        (SECOND, "n_features", between.output_width, second["n_features"]),
    ]
    for part, what, expected, found in pairs:
        if found != expected:
            raise InputError(
                f"{what} does not fit the other parts of the stack",
                where=str(Path(folder) / part),
                expected=expected,
                found=found,
            )


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
