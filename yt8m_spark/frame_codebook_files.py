"""Codebooks of frames in a folder, written and read without Spark or scikit-learn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.artifacts import load_arrays, load_json, save_arrays, save_json
from yt8m_spark.core.frame_codebook import METHODS, FrameCodebook, FrameProjection
from yt8m_spark.errors import InputError

__all__ = ["Codebooks", "codebooks_digest", "load_codebooks", "save_codebooks"]

# Of each method ("kmeans", "gmm") those of the feature lists.
Codebooks = Mapping[str, Mapping[str, FrameCodebook]]

_ARRAYS = "frame_codebook.npz"
_JSON = "frame_codebook.json"
_OPTIONAL = ("variances", "weights", "mean", "rows")


def save_codebooks(folder: str, codebooks: Codebooks, facts: Mapping[str, Any]) -> None:
    """Write ``codebooks`` to ``folder``: frame_codebook.npz and frame_codebook.json.

    ``facts`` of the fit are noted beside them; nobody reads them again.
    """
    arrays = {
        f"{method}.{name}.{part}": array
        for method, of_lists in codebooks.items()
        for name, codebook in of_lists.items()
        for part, array in _parts(codebook).items()
    }
    save_arrays(Path(folder) / _ARRAYS, arrays)
    described = {
        method: {name: _describe(codebook) for name, codebook in of_lists.items()}
        for method, of_lists in codebooks.items()
    }
    digest = codebooks_digest(codebooks)
    save_json(Path(folder) / _JSON, {"codebooks": described, "digest": digest, "fit": dict(facts)})


def load_codebooks(folder: str) -> dict[str, dict[str, FrameCodebook]]:
    """Read what `save_codebooks` wrote.

    Raises
    ------
    InputError
        If ``folder`` holds no codebooks, a file is damaged, or the two are not of one fit.
    """
    described = load_json(Path(folder) / _JSON)
    try:
        kinds = {method: dict(described["codebooks"][method]) for method in described["codebooks"]}
        unknown = [method for method in kinds if method not in METHODS]
        if unknown or not kinds:
            raise ValueError(f"methods {', '.join(kinds) or 'none'}")
        found = {
            method: {
                name: _load(folder, f"{method}.{name}", facts) for name, facts in lists.items()
            }
            for method, lists in kinds.items()
        }
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError("not a codebook of frames", where=folder, found=error) from None
    if described.get("digest") != codebooks_digest(found):
        raise InputError(
            f"{_JSON} and {_ARRAYS} are not of one fit",
            where=folder,
            expected=codebooks_digest(found)[:12],
            found=str(described.get("digest"))[:12],
        )
    return found


def codebooks_digest(codebooks: Codebooks) -> str:
    """SHA-256 of all codebooks, in hexadecimal digits."""
    hashed = hashlib.sha256()
    for method in sorted(codebooks):
        for name in sorted(codebooks[method]):
            hashed.update(f"{method} {name} {codebooks[method][name].digest}\n".encode())
    return hashed.hexdigest()


def _parts(codebook: FrameCodebook) -> dict[str, NDArray[np.floating]]:
    mean, rows = codebook.projection or (None, None)
    parts = {
        "centres": codebook.centres,
        "variances": codebook.variances,
        "weights": codebook.weights,
        "mean": mean,
        "rows": rows,
    }
    return {name: array for name, array in parts.items() if array is not None}


def _describe(codebook: FrameCodebook) -> dict[str, Any]:
    return {
        "n_features": codebook.n_features,
        "n_dimensions": codebook.n_dimensions,
        "n_centres": codebook.n_centres,
        "width": codebook.width,
        "power": codebook.power,
        "intra": codebook.intra,
        "arrays": list(_parts(codebook)),
    }


def _load(folder: str, prefix: str, facts: Mapping[str, Any]) -> FrameCodebook:
    names = [str(name) for name in facts["arrays"] if name in ("centres", *_OPTIONAL)]
    stored = load_arrays(Path(folder) / _ARRAYS, [f"{prefix}.{name}" for name in names])
    arrays = {name: stored[f"{prefix}.{name}"] for name in names}
    projection = FrameProjection(arrays["mean"], arrays["rows"]) if "rows" in arrays else None
    return FrameCodebook(
        arrays["centres"],
        arrays.get("variances"),
        arrays.get("weights"),
        projection,
        power=float(facts["power"]),
        intra=bool(facts["intra"]),
    )
