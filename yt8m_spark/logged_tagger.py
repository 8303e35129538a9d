"""What a logged model runs: the tagger of whatever kind of model is in it, and what that needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from yt8m_spark.errors import InputError
from yt8m_spark.network_tagger import NetworkTagger, load_network_tagger
from yt8m_spark.scorer import is_network
from yt8m_spark.tagger import EntityTagger, load_tagger

__all__ = ["Interface", "interface_of", "load_logged_tagger"]

_REQUIREMENTS = ("mlflow", "numpy", "scipy", "pandas", "pyarrow")
_OF_NETWORKS = ("torch", "safetensors")


class Interface(NamedTuple):
    """What a tagger takes, and the packages that it runs on."""

    columns: dict[str, str]  # "numbers" or "bytes", by name
    example: pd.DataFrame
    requirements: tuple[str, ...]


def load_logged_tagger(artifacts: Mapping[str, str]) -> EntityTagger | NetworkTagger:
    """Tagger of the folders ``artifacts``: entity_model, and maybe whitening and calibration.

    Raises
    ------
    InputError
        If one of them is none, or they do not belong together; a network takes no whitening.
    """
    folder = artifacts["entity_model"]
    whitening, calibration = artifacts.get("whitening"), artifacts.get("calibration")
    if not is_network(folder):
        return load_tagger(folder, whitening=whitening, calibration=calibration)
    if whitening is not None:
        raise InputError("a network takes frames as they are", where=folder, found="a whitening")
    return load_network_tagger(folder, calibration=calibration)


def interface_of(tagger: EntityTagger | NetworkTagger) -> Interface:
    """Columns, example and packages of a tagger."""
    if isinstance(tagger, NetworkTagger):
        columns = dict.fromkeys(tagger.features, "bytes")
        return Interface(columns, tagger.example(), (*_REQUIREMENTS, *_OF_NETWORKS))
    example: Any = pd.DataFrame({"features": [tagger.example()]})
    return Interface({"features": "numbers"}, example, _REQUIREMENTS)
