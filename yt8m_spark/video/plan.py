"""All that a task must know to extract features, as a file that all tasks see."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.core.frame_pca import FrameCoder, FramePca
from yt8m_spark.errors import InputError
from yt8m_spark.formats.pca_files import read_frame_pca
from yt8m_spark.video.decode import Sampling
from yt8m_spark.video.extraction import Extractor
from yt8m_spark.video.images import Preprocessing
from yt8m_spark.video.network_files import FileStamp, network_digest, network_stamps
from yt8m_spark.video.networks import load_network

__all__ = ["ExtractionPlan", "Tools", "has_plan", "load_plan", "load_tools", "save_plan"]

_FILE = "plan.json"


@dataclass(frozen=True)
class ExtractionPlan:
    """What to do with each video.

    Attributes
    ----------
    network : str
        Absolute path.
    network_digest : str
        Of its files' bytes: `network_files.network_digest`.
    layer, layout : str, optional
        See `networks.load_network`.
    threads : int
        Cores of a task.
    batch_size : int
        Images.
    how : Preprocessing
    sampling : Sampling
    pca : str, optional
        Absolute path of a frame PCA: features are a byte a component; else float32.
    feature_name : str
        Of the feature list.
    keep_damaged : bool
        Whether a damaged video gives the frames before the damage, or none.
    n_shards : int
    """

    network: str
    network_digest: str
    layer: str | None
    layout: str | None
    threads: int
    batch_size: int
    how: Preprocessing
    sampling: Sampling
    pca: str | None
    feature_name: str
    keep_damaged: bool
    n_shards: int


class Tools:
    """Network, images and PCA of a plan, loaded.

    Raises
    ------
    InputError
        If one cannot be, or the PCA is of another width than the layer.
    """

    def __init__(self, plan: ExtractionPlan) -> None:
        network = load_network(plan.network, plan.layer, plan.layout, plan.threads)
        self.extractor = Extractor(network, plan.how, plan.sampling, plan.batch_size)
        self.n_activations = self.extractor.width()
        self.coder = None if plan.pca is None else FrameCoder(FramePca(*read_frame_pca(plan.pca)))
        if self.coder is not None and self.coder.n_activations != self.n_activations:
            raise InputError(
                "layer has another width than the PCA",
                where=f"{plan.network}, layer {plan.layer or 'of the output'}",
                expected=self.coder.n_activations,
                found=self.n_activations,
            )

    def values(self, activations: NDArray[np.float32]) -> NDArray[np.generic]:
        """What is kept of activations (F, M): codes (F, D), or the activations themselves."""
        return activations if self.coder is None else self.coder.codes(activations)

    @property
    def n_bytes(self) -> int:
        """Bytes of a frame's values."""
        return 4 * self.n_activations if self.coder is None else self.coder.width


def has_plan(work: str) -> bool:
    """Whether the folder ``work`` has a plan."""
    return (Path(work) / _FILE).exists()


def save_plan(work: str, plan: ExtractionPlan) -> None:
    """Write ``plan`` to the folder ``work``."""
    save_json(Path(work) / _FILE, asdict(plan))


def load_plan(work: str) -> ExtractionPlan:
    """Plan in the folder ``work``.

    Raises
    ------
    InputError
        If there is none.
    """
    told = load_json(Path(work) / _FILE)
    values: list[Any] = [tuple(v) if isinstance(v, list) else v for v in told["how"]]
    how = Preprocessing(*values)
    return ExtractionPlan(**{**told, "how": how, "sampling": Sampling(*told["sampling"])})


def load_tools(plan: ExtractionPlan) -> Tools:
    """Tools of ``plan``, loaded once a process, and again when a file of the network has changed.

    Raises
    ------
    InputError
        If the network is no longer the one that was planned with: features of one table would come
        from two networks.
    """
    of_all_shards = replace(plan, n_shards=0)  # the tools do not depend on it
    return _cached_tools(of_all_shards, network_stamps(plan.network))


@lru_cache(maxsize=1)
def _cached_tools(plan: ExtractionPlan, _stamps: tuple[FileStamp, ...]) -> Tools:
    tools = Tools(plan)
    if network_digest(plan.network) != plan.network_digest:
        raise InputError("network has changed since the extraction began", where=plan.network)
    return tools
