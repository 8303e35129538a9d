"""The folder of a trained network: model.json, the entities in order, and the weights.

model.json               what it is and how it was trained
entities/part-00000.parquet   entity int32 ascending, the order of the outputs; n_positives int64
weights.safetensors      the weights, float32, never pickled
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from yt8m_spark.artifacts import file_digest, load_json, load_table, save_json, staged_output
from yt8m_spark.core.frame_sampling import FrameOptions
from yt8m_spark.deep.networks import Network, NetworkOptions, build_network
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import WEIGHTS

__all__ = [
    "LoadedNetwork",
    "check_entities",
    "load_network",
    "read_entities",
    "read_options",
    "save_network",
]

Ints = NDArray[np.int64]

_DESCRIPTION = "model.json"


class LoadedNetwork(NamedTuple):
    """A trained network, ready to score."""

    network: Network  # in evaluation mode
    options: NetworkOptions
    entities: Ints  # (E,) ascending, the order of the outputs


def save_network(
    folder: str,
    network: Network,
    options: NetworkOptions,
    entities: Ints,
    n_positives: Ints,
    described: Mapping[str, Any],
) -> None:
    """Write a model to ``folder``, whole or not at all; one that is there is replaced.

    Parameters
    ----------
    folder : str
    network : Network
        On any device; the one that `options` stand for, without a wrapper of DDP or torch.compile.
    options : NetworkOptions
    entities : (E,) int
        Ascending, in the order of the outputs.
    n_positives : (E,) int
        Videos of the training that have the entity.
    described : mapping
        What model.json holds beside the architecture, in JSON's types: ``n_videos``, ``epochs``,
        ``frames`` (`FrameOptions.describe`; by default all frames of the network's own lists) ...

    Raises
    ------
    InputError
        If ``entities`` are not ascending or not E, or ``frames`` are not those of ``options``.
    """
    check_entities(np.asarray(entities), options.n_entities, folder)
    held = _describe(options, described, folder)
    weights = {name: _plain(value) for name, value in network.state_dict().items()}
    with staged_output(folder) as staged:
        _write_entities(Path(staged) / "entities", entities, n_positives)
        save_file(weights, Path(staged) / WEIGHTS)
        held["weights_digest"] = file_digest(Path(staged) / WEIGHTS)
        save_json(Path(staged) / _DESCRIPTION, held)
        # safetensors lets its owner alone read the file; tasks may be somebody else.
        (Path(staged) / WEIGHTS).chmod((Path(staged) / _DESCRIPTION).stat().st_mode)


def load_network(folder: str, device: str = "cpu") -> LoadedNetwork:
    """Read a model onto ``device``, in evaluation mode; leaves torch's generator as it was.

    Raises
    ------
    InputError
        If ``folder`` holds no network, or one whose files are damaged or do not belong together.
    """
    options = read_options(folder)
    entities = read_entities(folder, options.n_entities)
    with torch.device("meta"):  # no weights to be thrown away, no random numbers
        network = build_network(options)
    weights = _read_weights(folder, device)
    _check_weights(weights, network.state_dict(), folder)
    _check_digest(folder)
    network.load_state_dict(weights, assign=True)
    for layer in network.modules():
        if isinstance(layer, nn.RNNBase):
            layer.flatten_parameters()  # cuDNN wants them side by side
    return LoadedNetwork(network.eval(), options, entities)


def read_options(folder: str) -> NetworkOptions:
    """Architecture of the network in ``folder``.

    Raises
    ------
    InputError
        If ``folder`` holds no network.
    """
    path = Path(folder) / _DESCRIPTION
    options = load_json(path).get("options")
    if not isinstance(options, dict):
        raise InputError("not a network's description", where=str(path), expected="options")
    return NetworkOptions.from_description(options, str(path))


def read_entities(folder: str, n_entities: int) -> Ints:
    """Entities of the network in ``folder``, (E,) ascending.

    Raises
    ------
    InputError
        If they cannot be read or are not ``n_entities``.
    """
    files = sorted((Path(folder) / "entities").glob("[!._]*.parquet"))
    columns = [load_table(path) for path in files]
    where = str(Path(folder) / "entities")
    if not columns or any("entity" not in table.column_names for table in columns):
        raise InputError("no entities of a model", where=where, expected="a column 'entity'")
    column = pa.concat_tables(table.select(["entity"]) for table in columns).column(0)
    if column.null_count or not pa.types.is_integer(column.type):
        raise InputError("entities that are no numbers", where=where, found=column.type)
    entities: Ints = column.to_numpy().astype(np.int64)
    check_entities(entities, n_entities, where)
    return entities


def _check_digest(folder: str) -> None:
    """Refuse a file of weights that is not as it was written; older models do not tell."""
    path = Path(folder) / WEIGHTS
    told = load_json(Path(folder) / _DESCRIPTION).get("weights_digest")
    if told is None:
        return
    try:
        found = file_digest(path)
    except OSError as error:
        raise InputError("weights cannot be read", where=str(path), found=error.strerror) from None
    if found != told:
        expected = f"blake2b {told}, as model.json tells"
        raise InputError("weights are damaged", where=str(path), expected=expected, found=found)


def _read_weights(folder: str, device: str = "cpu") -> dict[str, Tensor]:
    """Weights by name, as they are in the file.

    Raises
    ------
    InputError
        If the file is not there or is damaged.
    """
    path = Path(folder) / WEIGHTS
    try:
        return load_file(path, device)
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError("weights cannot be read", where=str(path), found=error) from None


def _check_weights(found: dict[str, Tensor], expected: dict[str, Tensor], folder: str) -> None:
    """Refuse weights that are not those of the architecture, or not numbers."""
    where = str(Path(folder) / WEIGHTS)
    for name in sorted(found.keys() ^ expected.keys()):
        what = "lack one of the network" if name in expected else "hold one of another network"
        raise InputError(f"weights {what}", where=where, found=name)
    for name, value in found.items():
        wanted = expected[name]
        if value.shape != wanted.shape or value.dtype != wanted.dtype:
            raise InputError(
                "weights do not fit model.json",
                where=f"{where}, {name}",
                expected=f"{tuple(wanted.shape)} {wanted.dtype}",
                found=f"{tuple(value.shape)} {value.dtype}",
            )
        if not torch.isfinite(value).all():
            raise InputError("weights are not finite", where=f"{where}, {name}")


def _describe(options: NetworkOptions, described: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """model.json: what a reader of any model asks for, the architecture, the rest."""
    own = FrameOptions(options.widths, options.normalize, n_frames=0)
    given = described.get("frames") or own.describe()
    frames = FrameOptions.from_description(given, folder)
    in_order = list(frames.features.items()) == list(own.features.items())
    if not (in_order and frames.normalize == own.normalize):
        expected = f"{options.widths}, normalize {options.normalize}"
        raise InputError("frames are not the network's", where=folder, expected=expected)
    return {
        **described,
        "frames": given,
        "network": options.network,
        "options": options.describe(),
        "loss": options.classifier,
        "n_experts": options.n_experts,
        "n_entities": options.n_entities,
        "n_features": options.n_features,
    }


def check_entities(entities: Ints, n_entities: int, where: str) -> None:
    """Refuse entities that do not ascend, or are not one for each of ``n_entities`` outputs."""
    if entities.shape != (n_entities,) or (np.diff(entities) <= 0).any():
        raise InputError(
            "entities are not those of the network",
            where=where,
            expected=f"{n_entities}, ascending",
            found=f"{entities.shape[0]}, {len(np.unique(entities))} of them different",
        )


def _write_entities(folder: Path, entities: Ints, n_positives: Ints) -> None:
    folder.mkdir(parents=True)
    columns = {
        "entity": pa.array(entities, pa.int32()),
        "n_positives": pa.array(n_positives, pa.int64()),
    }
    pq.write_table(pa.table(columns), folder / "part-00000.parquet")


def _plain(value: Tensor) -> Tensor:
    return value.detach().to("cpu").contiguous()
