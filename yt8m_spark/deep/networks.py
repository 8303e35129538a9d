"""Which network, and of what size: the options, which a model remembers, and what they build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from yt8m_spark.deep.dbof import POOLINGS, DBoF
from yt8m_spark.deep.lstm import LSTM
from yt8m_spark.deep.mean_frame import MeanFrame
from yt8m_spark.deep.outputs import CLASSIFIERS, build_output
from yt8m_spark.errors import InputError

__all__ = ["NETWORKS", "Network", "NetworkOptions", "build_network"]

Network = DBoF | LSTM | MeanFrame
NETWORKS = ("dbof", "lstm", "mean")

_MOST = 2**31 - 1  # of each size: torch would tell of a larger one in a page


@dataclass(frozen=True)
class NetworkOptions:
    """Architecture of a network; sizes are the paper's (§4.1.2, §4.1.3).

    Raises
    ------
    InputError
        If a size is less than 1 or no 31-bit number, or a name is not one of those that there are.
    """

    network: str  # "dbof", "lstm" or "mean"
    widths: dict[str, int]  # feature lists and their widths, in the order of the vector
    n_entities: int  # E
    normalize: bool = True  # scale the vector of each frame to length 1; ours
    classifier: str = "logistic"  # or "softmax" or "moe"
    n_experts: int = 2  # of "moe"
    n_units: int = 8192  # DBoF: M
    pooling: str = "max"  # DBoF: or "average"
    n_hidden: int = 1024  # DBoF: width of the layer before the output
    n_layers: int = 2  # LSTM
    n_cells: int = 1024  # LSTM: of each layer
    horizon: int = 60  # LSTM: frames that a gradient reaches back

    def __post_init__(self) -> None:
        _check_name("network", self.network, NETWORKS)
        _check_name("classifier", self.classifier, CLASSIFIERS)
        _check_name("pooling", self.pooling, POOLINGS)
        sizes = {f"width of {name!r}": width for name, width in self.widths.items()}
        sizes |= {f.name: getattr(self, f.name) for f in fields(self) if f.type == "int"}
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise InputError(f"{name} of a network", expected="1 or more", found=size)
            if size > _MOST:
                raise InputError(f"{name} of a network", expected=f"{_MOST} at most", found=size)
        if not self.widths:
            raise InputError("a network without feature lists", expected="at least one")

    @property
    def n_features(self) -> int:
        """D of the vector of a frame."""
        return sum(self.widths.values())

    def describe(self) -> dict[str, Any]:
        """The same in JSON's own types; the order of ``widths`` as a list, which JSON keeps."""
        return asdict(self) | {"order": list(self.widths)}

    @classmethod
    def from_description(cls, described: Mapping[str, Any], where: str) -> NetworkOptions:
        """Options that `describe` gave, read from ``where``.

        Raises
        ------
        InputError
            If they are none, or of a kind that this version does not know.
        """
        try:
            given = dict(described)
            widths = dict(given["widths"])
            order = given.pop("order", list(widths))
            return cls(**given | {"widths": {str(name): widths[name] for name in order}})
        except InputError as error:
            raise InputError(str(error), where=where) from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError("not the options of a network", where=where, found=error) from None


def build_network(options: NetworkOptions) -> Network:
    """A network that has learned nothing; its weights come from torch's generator."""
    width = options.n_cells if options.network == "lstm" else options.n_features
    width = options.n_hidden if options.network == "dbof" else width
    output = build_output(options.classifier, width, options.n_entities, options.n_experts)
    if options.network == "dbof":
        return DBoF(
            options.n_features,
            output,
            n_units=options.n_units,
            n_hidden=options.n_hidden,
            pooling=options.pooling,
            normalize=options.normalize,
        )
    if options.network == "lstm":
        return LSTM(
            options.n_features,
            output,
            n_layers=options.n_layers,
            n_cells=options.n_cells,
            horizon=options.horizon,
            normalize=options.normalize,
        )
    return MeanFrame(options.n_features, output, normalize=options.normalize)


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise InputError(f"no such {what}", expected=" or ".join(known), found=name)
