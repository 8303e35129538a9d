"""Where a task computes: in NumPy, or in torch on the GPU it sees."""

from __future__ import annotations

from typing import Any

import numpy as np

from yt8m_spark.errors import InputError

__all__ = ["DEVICES", "array_of"]

DEVICES = ("auto", "cpu", "cuda", "torch-cpu")


def array_of(device: str) -> Any:
    """Empty array of the kind that ``device`` computes with, for `core.arrays.asarray_like`.

    Parameters
    ----------
    device : str
        "cpu" is NumPy; "cuda" is torch on a GPU; "auto" is that where torch is installed and sees
        one, else NumPy; "torch-cpu" is torch without a GPU, which is there to check the code.

    Raises
    ------
    InputError
        If there is no such device here.
    """
    if device == "cpu":
        return np.empty(0, np.float32)
    try:
        import torch
    except ImportError:
        if device == "auto":
            return np.empty(0, np.float32)
        raise InputError(
            "torch is not installed", expected="pip install 'yt8m_spark[deep]'", found=device
        ) from None
    if device == "torch-cpu":
        return torch.empty(0)
    if torch.cuda.is_available():
        return torch.empty(0, device="cuda")
    if device == "cuda":
        raise InputError("no GPU is visible to the task", expected="--device cpu", found=device)
    return np.empty(0, np.float32)
