"""Begin from what another network has learned (paper §5.4), and choose what goes on learning."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.deep.model_files import load_network, read_options
from yt8m_spark.deep.networks import Network, NetworkOptions
from yt8m_spark.errors import InputError

__all__ = ["TRAINABLE", "Started", "freeze", "start_from"]

TRAINABLE = ("all", "output")

# What may differ: the entities, and how the output layer tells them.
_OF_OUTPUT = ("n_entities", "classifier", "n_experts")
_OF_NETWORK = {
    "dbof": ("n_units", "pooling", "n_hidden"),
    "lstm": ("n_layers", "n_cells"),  # the horizon is no weight's
    "mean": (),
}


class Started(NamedTuple):
    """What `start_from` took over."""

    copied: list[str]  # names of weights
    new: list[str]  # those of the output layer, where they stay as they were

    @property
    def keeps_output(self) -> bool:
        """Whether the output layer is the other model's."""
        return not self.new


def start_from(
    network: Network,
    options: NetworkOptions,
    folder: str,
    entities: NDArray[np.int64] | None = None,
) -> Started:
    """Copy the weights of the model in ``folder`` into ``network``, which ``options`` stand for.

    The output layer is copied only if it tells the same ``entities`` (E,) in the same way; else,
    and where none are given, it stays as it is.

    Raises
    ------
    InputError
        If ``folder`` holds no whole network, or one of another architecture.
    """
    _check_same(options, read_options(folder), folder)
    other = load_network(folder)
    weights = other.network.state_dict()
    same = entities is not None and np.array_equal(entities, other.entities)
    if not (same and all(getattr(options, f) == getattr(other.options, f) for f in _OF_OUTPUT)):
        weights = {n: value for n, value in weights.items() if not n.startswith("output.")}
    network.load_state_dict(weights, strict=False)  # the two were found to be of one form
    new = [name for name in network.state_dict() if name not in weights]
    return Started(list(weights), new)


def freeze(network: Network, trainable: str) -> None:
    """Have "all" weights learn, or those of the "output" layer alone.

    Batch normalization that does not learn keeps its running moments, too.

    Raises
    ------
    InputError
        If ``trainable`` is neither.
    """
    if trainable not in TRAINABLE:
        raise InputError("no such choice", expected=" or ".join(TRAINABLE), found=trainable)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(trainable == "all" or name.startswith("output."))


def _check_same(options: NetworkOptions, other: NetworkOptions, folder: str) -> None:
    """Refuse another architecture, naming the field that differs."""
    for name in ("network", "widths", "normalize", *_OF_NETWORK[options.network]):
        wanted, found = getattr(options, name), getattr(other, name)
        same = list(wanted.items()) == list(found.items()) if name == "widths" else wanted == found
        if not same:
            raise InputError(
                f"a network of another {name}", where=folder, expected=wanted, found=found
            )
