"""A TorchScript network on torch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
from yt8m_spark.video.networks import InputForm, check_activations

__all__ = ["TorchScriptNetwork"]


class TorchScriptNetwork:
    """A network of `networks.load_network`.

    Inner layers of an archive cannot be reached (TorchScript has no hooks), so that a network must
    be exported with the layer as its output, or as an entry of a dict or tuple.
    """

    def __init__(self, path: str, layer: str | None, layout: str | None, threads: int) -> None:
        torch.set_num_threads(threads)
        self._where = path
        self._layer = layer
        self._module = _load(path)
        weight = next(iter(self._module.parameters()), torch.empty(0))
        named = str(weight.dtype).removeprefix("torch.")
        dtype = named if named in ("float16", "float64") else "float32"
        self.form = InputForm(dtype, layout != "nhwc", None, None)

    def activations(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Activations (B, M) of a batch of images."""
        try:
            with torch.inference_mode():
                found = self._module(torch.from_numpy(images))
        except (RuntimeError, torch.jit.Error) as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            shape = " x ".join(map(str, images.shape))
            what = f"network does not take a batch of {shape}"
            raise InputError(
                what, where=self._where, found=lines[-1] if lines else error
            ) from error
        return check_activations(
            self._layer_of(found).float().numpy(),
            len(images),
            channels_first=self.form.channels_first,
            where=self._where,
        )

    def _layer_of(self, found: Any) -> torch.Tensor:
        """The output, or the entry of it that is the layer."""
        if isinstance(found, dict):
            entries = {str(key): value for key, value in found.items()}
        elif isinstance(found, (tuple, list)):
            entries = {str(number): value for number, value in enumerate(found)}
        else:
            entries = {}
        if not entries and self._layer is None and isinstance(found, torch.Tensor):
            return found
        if self._layer in entries and isinstance(entries[self._layer], torch.Tensor):
            layer: torch.Tensor = entries[self._layer]
            return layer
        raise InputError(
            "no such layer",
            where=self._where,
            expected=f"one of {', '.join(entries)}" if entries else "no --layer: only its output",
            found=self._layer or "several outputs",
        )


def _load(path: str) -> torch.jit.ScriptModule:
    try:
        with warnings.catch_warnings():
            # torch.export's archives are no replacement for the files that people have.
            warnings.simplefilter("ignore", DeprecationWarning)
            module: torch.jit.ScriptModule = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
            return module
    except (RuntimeError, ValueError, OSError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        found = lines[0] if lines else type(error).__name__
        raise InputError("not a TorchScript archive", where=path, found=found) from error
