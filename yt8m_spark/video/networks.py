"""The user's image network: an ONNX file or a TorchScript archive, and the layer to take (§3.3).

The paper takes the ReLU activations of the last hidden layer of an Inception network. What the
named layer gives is taken as it is; an activation with places (4 axes) is averaged over them, as
Inception's own pooling does. Axes: B images, H height, W width, M activations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError

__all__ = ["InputForm", "Network", "check_activations", "input_shape", "load_network"]


class InputForm(NamedTuple):
    """What a network takes; None where it leaves that open."""

    dtype: str  # of NumPy
    channels_first: bool
    n_images: int | None
    size: tuple[int, int] | None  # H, W


class Network(Protocol):
    """Images in, activations of the layer out."""

    @property
    def form(self) -> InputForm:
        """What it takes."""

    def activations(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Activations (B, M) of images (B, 3, H, W) or (B, H, W, 3).

        Raises
        ------
        InputError
            If the network does not take them, or gives no row an image.
        """


def load_network(path: str, layer: str | None, layout: str | None, threads: int) -> Network:
    """Load the network at ``path``: TorchScript if it is a zip archive, else ONNX.

    Parameters
    ----------
    path : str
    layer : str, optional
        ONNX: name of any tensor of the graph; default its only output. TorchScript: key or number
        of the entry where the output is a dict or tuple; default the output itself.
    layout : str, optional
        "nchw" or "nhwc", where the input's shape does not tell.
    threads : int
        Cores that it takes.

    Raises
    ------
    InputError
        If it is neither, lacks the layer, has several outputs of which none is named, or takes
        something else than images.

    Notes
    -----
    A TorchScript archive holds code, which runs. Nothing is unpickled: `torch.jit.load` alone
    reads it, and an archive of `torch.save` is refused.
    """
    try:
        with Path(path).open("rb") as file:
            is_archive = file.read(4) == b"PK\x03\x04"
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from None
    if is_archive:
        return _torchscript(path, layer, layout, threads)
    return _onnx(path, layer, layout, threads)


def input_shape(form: InputForm, n_images: int, size: tuple[int, int]) -> tuple[int, ...]:
    """Shape of a batch."""
    return (n_images, 3, *size) if form.channels_first else (n_images, *size, 3)


def check_activations(
    found: NDArray[Any], n_images: int, *, channels_first: bool, where: str
) -> NDArray[np.float32]:
    """Activations (B, M) of what a layer gave, averaged over places if it has some.

    Raises
    ------
    InputError
        If they are not one row, or one map of places, an image; or not finite.
    """
    if found.ndim not in (2, 4) or len(found) != n_images or not found.size:
        expected = f"({n_images}, M), or 4 axes to average"
        raise InputError(
            "layer has the wrong shape", where=where, expected=expected, found=found.shape
        )
    if found.ndim == 4:
        found = found.mean(axis=(2, 3) if channels_first else (1, 2), dtype=np.float64)
    activations = np.ascontiguousarray(found, np.float32)
    if not np.isfinite(activations).all():
        raise InputError("activations are not finite", where=where)
    return activations


def _onnx(path: str, layer: str | None, layout: str | None, threads: int) -> Network:
    try:
        from yt8m_spark.video.onnx_network import OnnxNetwork
    except ModuleNotFoundError as error:
        expected = "pip install 'yt8m_spark[video]'"
        raise InputError(f"{error.name} is not installed", expected=expected) from None
    return OnnxNetwork(path, layer, layout, threads)


def _torchscript(path: str, layer: str | None, layout: str | None, threads: int) -> Network:
    try:
        from yt8m_spark.video.torchscript_network import TorchScriptNetwork
    except ModuleNotFoundError as error:
        expected = "pip install 'yt8m_spark[deep]', for TorchScript"
        raise InputError(f"{error.name} is not installed", expected=expected) from None
    return TorchScriptNetwork(path, layer, layout, threads)
