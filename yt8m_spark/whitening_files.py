"""A whitening in a folder, written and read without Spark: a served model needs no more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yt8m_spark.artifacts import load_arrays, load_json, save_arrays, save_json
from yt8m_spark.core.whitening import Whitening
from yt8m_spark.core.whitening_options import METHODS
from yt8m_spark.errors import InputError

__all__ = ["load_whitening", "save_whitening"]

_ARRAYS = ("mean", "components", "eigenvalues", "ridge", "total_variance")


def save_whitening(
    folder: str, whitening: Whitening, columns: Sequence[str], widths: Sequence[int] = ()
) -> None:
    """Write ``whitening`` of ``columns`` to ``folder``: whitening.npz and whitening.json.

    ``widths`` are those of the columns; without them a null cannot be taken for the mean later.
    """
    arrays = {name: np.asarray(getattr(whitening, name)) for name in (*_ARRAYS, "spectrum")}
    save_arrays(Path(folder) / "whitening.npz", arrays)
    described = {
        "columns": list(columns),
        "widths": list(widths),
        "width": whitening.width,
        "n_components": whitening.n_components,
        "n_features": whitening.output_width,
        "method": whitening.method,
        "l2_normalize": whitening.l2_normalize,
        "ridge": whitening.ridge,
        "explained_variance_ratio": whitening.explained_variance_ratio,
        "digest": whitening.digest,
    }
    save_json(Path(folder) / "whitening.json", described)


def load_whitening(folder: str) -> tuple[Whitening, list[str]]:
    """Read what `save_whitening` wrote: the whitening and its columns.

    Raises
    ------
    InputError
        If ``folder`` holds no whitening, or its two files are not of one fit.
    """
    arrays = load_arrays(Path(folder) / "whitening.npz", _ARRAYS)
    described = load_json(Path(folder) / "whitening.json")
    method = described.get("method", "pca")  # folders of version 0.2 and before have neither
    if method not in METHODS:
        expected = f"one of {', '.join(METHODS)}"
        raise InputError("unknown method", where=folder, expected=expected, found=method)
    whitening = Whitening(
        arrays["mean"],
        arrays["components"],
        arrays["eigenvalues"],
        float(arrays["ridge"]),
        float(arrays["total_variance"]),
        method=method,
        l2_normalize=bool(described.get("l2_normalize", True)),
    )
    if described.get("digest") != whitening.digest:
        raise InputError(
            "whitening.json and whitening.npz are not of one fit",
            where=folder,
            expected=whitening.digest[:12],
            found=str(described.get("digest"))[:12],
        )
    return whitening, list(described["columns"])
