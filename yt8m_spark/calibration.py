"""A fitted calibration in its folder: calibration.npz and calibration.json, read without Spark.

calibration = load_calibration("calibration", "model")
probabilities = apply_calibration(calibration, score_videos(load_scorer("model"), features))
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from yt8m_spark.artifacts import load_arrays, load_json, save_arrays, save_json
from yt8m_spark.core.calibration import METHODS, Calibration
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import check_model, model_files

__all__ = ["check_calibration", "load_calibration", "model_digest", "save_calibration"]

_ARRAYS = ("entities", "maps", "offsets", "x", "y")
_BLOCK = 1 << 20  # bytes of a file digested at once


def model_digest(model: str) -> str:
    """Digest of every byte of the model in the folder ``model``; some seconds for a GB.

    Raises
    ------
    InputError
        If there is no whole model.
    """
    check_model(model)
    digest = hashlib.sha256()
    for path in model_files(model):
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def save_calibration(folder: str, calibration: Calibration, model: str, min_positives: int) -> None:
    """Write ``calibration`` of the model in the folder ``model`` to ``folder``."""
    arrays = {name: np.asarray(getattr(calibration, name)) for name in _ARRAYS}
    save_arrays(Path(folder) / "calibration.npz", arrays)
    described = {
        "method": calibration.method,
        "model": model_digest(model),
        "n_entities": len(calibration.entities),
        "n_pooled": calibration.n_pooled,
        "min_positives": min_positives,
    }
    save_json(Path(folder) / "calibration.json", described)


def check_calibration(folder: str, model: str) -> None:
    """Refuse a calibration that was fitted on another model: its scores mean something else.

    Raises
    ------
    InputError
        If ``folder`` holds no calibration, or it is not that of the model in the folder ``model``.
    """
    _read(str(Path(folder)))
    fitted_on, found = load_json(Path(folder) / "calibration.json")["model"], model_digest(model)
    if fitted_on != found:
        raise InputError(
            "calibration is of another model",
            where=folder,
            expected=f"digest {found[:12]} of {model}",
            found=str(fitted_on)[:12],
        )


def load_calibration(folder: str, model: str | None = None) -> Calibration:
    """Calibration in ``folder``; read once for each process and folder, the last one kept.

    With ``model``, a folder, it is checked to be that model's. The arrays are not to be written to.

    Raises
    ------
    InputError
        If ``folder`` holds no calibration, its files do not fit together, or it is of another
        model.
    """
    if model is not None:
        check_calibration(folder, model)
    path = (Path(folder) / "calibration.npz").resolve()
    written = path.stat().st_mtime_ns if path.exists() else 0
    return _cached(str(path.parent), written)


@lru_cache(maxsize=1)
def _cached(folder: str, _written: int) -> Calibration:
    return _read(folder)


def _read(folder: str) -> Calibration:
    described = load_json(Path(folder) / "calibration.json")
    arrays = load_arrays(Path(folder) / "calibration.npz", _ARRAYS)
    missing = {"method", "model"} - described.keys()
    if missing or described["method"] not in METHODS:
        expected = f"a method, one of {', '.join(METHODS)}, and a model"
        raise InputError("not a calibration", where=folder, expected=expected)
    calibration = Calibration(described["method"], *(arrays[name] for name in _ARRAYS))
    _check_shapes(calibration, folder)
    for array in arrays.values():
        array.flags.writeable = False
    return calibration


def _check_shapes(calibration: Calibration, folder: str) -> None:
    maps, lengths = calibration.maps, np.diff(calibration.offsets)
    fits = (
        maps.shape == calibration.entities.shape
        and ((maps >= 0) & (maps < len(lengths))).all()
        and calibration.x.shape == calibration.y.shape == (int(lengths.sum()),)
        and (lengths >= 1).all()
        and (calibration.method != "platt" or (lengths == 1).all())
        and bool(np.isfinite(calibration.x).all() and np.isfinite(calibration.y).all())
    )
    if not fits:
        raise InputError("arrays of a calibration do not fit together", where=folder)
