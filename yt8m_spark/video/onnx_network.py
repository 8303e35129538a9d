"""An ONNX network on onnxruntime."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from yt8m_spark.errors import InputError
from yt8m_spark.video.networks import InputForm, check_activations
from yt8m_spark.video.onnx_graph import with_output

__all__ = ["OnnxNetwork"]

_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
}
_FILES_BESIDE = "session.model_external_initializers_file_folder_path"
_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_SILENT = 4  # onnxruntime logs the errors that it raises, too


class OnnxNetwork:
    """A network of `networks.load_network`; weights in files beside it are found."""

    def __init__(self, path: str, layer: str | None, layout: str | None, threads: int) -> None:
        self._where = path
        self._session = _session(path, layer, threads)
        self._output = self._only_output()
        self._input, self.form = self._only_input(layout)

    def activations(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Activations (B, M) of a batch of images."""
        try:
            (found,) = self._session.run([self._output], {self._input: images})
        except Exception as error:  # onnxruntime's have no base class of their own
            shape = " x ".join(map(str, images.shape))
            what = f"network does not take a batch of {shape}"
            raise InputError(what, where=self._where, found=_reason(error)) from error
        where = f"{self._where}, layer {self._output}"
        return check_activations(
            np.asarray(found), len(images), channels_first=self.form.channels_first, where=where
        )

    def _only_output(self) -> str:
        names = [output.name for output in self._session.get_outputs()]
        if len(names) != 1:
            found = ", ".join(names)
            raise InputError(
                "network has several outputs", where=self._where, expected="--layer", found=found
            )
        return str(names[0])

    def _only_input(self, layout: str | None) -> tuple[str, InputForm]:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            found = ", ".join(given.name for given in inputs)
            raise InputError(
                "network takes several inputs", where=self._where, expected="images", found=found
            )
        shape = [n if isinstance(n, int) and n > 0 else None for n in inputs[0].shape]
        channels_first = _channels_first(shape, layout)
        colours = shape[1 if channels_first else 3] if len(shape) == 4 else 0
        if inputs[0].type not in _TYPES or colours not in (None, 3):
            raise InputError(
                "network does not take images",
                where=self._where,
                expected="a batch of 3 colours",
                found=f"{inputs[0].type} of {inputs[0].shape}",
            )
        height, width = shape[2:] if channels_first else shape[1:3]
        size = None if height is None or width is None else (height, width)
        form = InputForm(_TYPES[inputs[0].type], channels_first, shape[0], size)
        return str(inputs[0].name), form


def _channels_first(shape: list[int | None], layout: str | None) -> bool:
    """Whether the colours come before the places, as they do where nothing tells."""
    if layout is not None:
        return layout == "nchw"
    return not (len(shape) == 4 and shape[3] == 3 and shape[1] != 3)


def _session(path: str, layer: str | None, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    model: str | bytes = path
    if layer is not None:
        model = with_output(Path(path).read_bytes(), layer, where=path)
        options.add_session_config_entry(_FILES_BESIDE, str(Path(path).absolute().parent))
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's have no base class of their own
        raise InputError("not an ONNX network", where=path, found=_reason(error)) from error


def _reason(error: Exception) -> str:
    """onnxruntime's words, without its numbers."""
    return _PREFIX.sub("", " ".join(str(error).split()))[:300]
