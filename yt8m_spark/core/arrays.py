"""One training code for NumPy arrays and torch tensors: what both call by the same name.

The functions used on arrays of either kind are those that NumPy and torch have in common, with
the same meaning of positional arguments and of ``out=``: matmul, square, sqrt, divide, multiply,
exp, log, clip, where, amax. Nothing here imports torch.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import saxpy

__all__ = ["add_scaled", "asarray_like", "namespace", "to_numpy"]


def namespace(array: Any) -> Any:
    """Module whose functions work on ``array``: numpy, or torch for its tensors."""
    return sys.modules[type(array).__module__.partition(".")[0]]


def to_numpy(array: Any) -> NDArray[Any]:
    """``array`` as NumPy's, in the memory of the machine; itself if it is one."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def asarray_like(array: NDArray[Any], like: Any) -> Any:
    """NumPy ``array`` as the kind and on the device of ``like``; itself if that is NumPy."""
    if isinstance(like, np.ndarray):
        return array
    return namespace(like).from_numpy(np.ascontiguousarray(array)).to(like.device)


def add_scaled(target: Any, array: Any, factor: float) -> None:
    """``target += factor · array`` in one pass over both; contiguous float32 of one shape.

    NumPy would make the product first, in a pass of its own.
    """
    if isinstance(target, np.ndarray):
        if not target.flags.c_contiguous:
            raise ValueError("target must be contiguous: what is added would go to a copy of it")
        saxpy(array.reshape(-1), target.reshape(-1), a=factor)
    else:
        target.add_(array, alpha=factor)
