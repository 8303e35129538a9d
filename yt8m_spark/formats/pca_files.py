"""PCA of frame features as its files have it: YouTube-8M's folder and VGGish's archive (§3.3).

A folder holds ``mean.npy`` (M,) or (M, 1), ``eigenvals.npy`` (D or more,) and ``eigenvecs.npy``
(D, M), an eigenvector a row. VGGish's ``.npz`` holds ``pca_means`` (M,) and ``pca_eigen_vectors``
(D, M).

Axes: M activations before the PCA, D components after it.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError

__all__ = ["RIDGE", "PcaFiles", "read_frame_pca"]

Floats = NDArray[np.float64]

# The release divides by sqrt(eigenvalue + 1e-4).
RIDGE = 1e-4
# Dot products of unit eigenvectors stored in float32 stay well below; VGGish's reach 5e-4.
_LARGEST_DOT = 2e-3
# What NumPy raises on archives that are damaged, or whose arrays have an absurd shape.
_DAMAGED_ARCHIVE = (
    *(ValueError, EOFError, OSError, zipfile.BadZipFile, TypeError, AttributeError, MemoryError),
)


class PcaFiles(NamedTuple):
    """A frame PCA: ``((frame - mean) @ components.T) / scale``."""

    mean: NDArray[np.float32]  # (M,)
    components: NDArray[np.float32]  # (D, M), orthonormal rows
    scale: NDArray[np.float32]  # (D,), what a component is divided by


def read_frame_pca(path: str, n_components: int | None = None) -> PcaFiles:
    """Read the PCA in folder ``path``, or in the archive ``path`` if it is a ``.npz``.

    Parameters
    ----------
    path : str
    n_components : int, optional
        Take the first ones only; the release kept 1,024 of 2,048. Default: all there are.

    Raises
    ------
    InputError
        If a file is missing, damaged or not of finite numbers; if the shapes do not fit together,
        an eigenvalue is negative, or the rows are not orthogonal: such a PCA would be inverted to
        nonsense, silently.

    Notes
    -----
    YouTube-8M's rows are unit vectors, and its scale is sqrt(eigenvalue + 1e-4). VGGish's rows
    have the whitening in them: ``pca_eigen_vectors @ (embedding - pca_means)`` is all there is. We
    give the same as unit rows and a scale of 1 / the length of the row.
    """
    if path.endswith(".npz"):
        mean, vectors = _load_archive(path, ("pca_means", "pca_eigen_vectors"))
        lengths = _lengths(path, mean, vectors, n_components)
        scale = 1 / lengths
    else:
        mean, values, vectors = (
            _load(f"{path.rstrip('/')}/{name}.npy") for name in ("mean", "eigenvals", "eigenvecs")
        )
        lengths = _lengths(path, mean, vectors, n_components)
        _check_unit(path, lengths)
        scale = np.sqrt(_eigenvalues(path, values, len(lengths)) + RIDGE)
    components = vectors[: len(lengths)] / lengths[:, None]
    _check_orthogonal(path, components)
    mean32, components32, scale32 = (
        array.astype(np.float32) for array in (mean.ravel(), components, scale)
    )
    return PcaFiles(mean32, components32, scale32)


def _lengths(path: str, mean: Floats, vectors: Floats, n_components: int | None) -> Floats:
    """Lengths (D,) of the eigenvectors to take, if they fit the mean."""
    if vectors.ndim != 2 or vectors.shape[1] != mean.size or not vectors.size:
        raise InputError(
            "eigenvectors do not fit the mean",
            where=path,
            expected=f"rows of {mean.size}",
            found=vectors.shape,
        )
    wanted = len(vectors) if n_components is None else n_components
    if not 1 <= wanted <= min(vectors.shape):
        raise InputError(
            "cannot take so many components",
            where=path,
            expected=f"1 to {min(vectors.shape)}",
            found=wanted,
        )
    lengths: Floats = np.linalg.norm(vectors[:wanted], axis=1)
    if not lengths.all():
        raise InputError(f"eigenvector {np.argmin(lengths)} is all zeros", where=path)
    return lengths


def _check_unit(path: str, lengths: Floats) -> None:
    worst = int(np.argmax(np.abs(lengths - 1)))
    if abs(lengths[worst] - 1) > _LARGEST_DOT:
        raise InputError(
            f"eigenvector {worst} is no unit vector (eigenvectors must be rows)",
            where=path,
            expected="length 1",
            found=f"{lengths[worst]:.6g}",
        )


def _check_orthogonal(path: str, components: Floats) -> None:
    dots = np.abs(components @ components.T)
    np.fill_diagonal(dots, 0)
    if dots.max() > _LARGEST_DOT:
        i, j = np.unravel_index(np.argmax(dots), dots.shape)
        raise InputError(
            f"eigenvectors {i} and {j} are not orthogonal",
            where=path,
            expected="a dot product of 0",
            found=f"{dots[i, j]:.6g}",
        )


def _eigenvalues(path: str, values: Floats, n_components: int) -> Floats:
    """Eigenvalues (D,) of the components that are taken."""
    taken = values.ravel()[:n_components]
    if len(taken) < n_components:
        raise InputError("too few eigenvalues", where=path, expected=n_components, found=len(taken))
    if taken.min() < 0:
        place = int(np.argmin(taken))
        raise InputError(f"eigenvalue {place} is negative", where=path, found=taken[place])
    return taken


def _load(path: str) -> Floats:
    try:
        return _numbers(path, np.load(path, allow_pickle=False))
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except (NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from None
    except InputError:
        raise
    except (ValueError, EOFError, OSError, MemoryError) as error:  # of an absurd shape
        raise InputError("not an array file", where=path, found=error) from None


def _load_archive(path: str, names: tuple[str, ...]) -> list[Floats]:
    if not Path(path).is_file():
        raise InputError("no such file", where=path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive]
            if missing:
                found = ", ".join(archive)
                raise InputError(f"no {missing[0]}", where=path, expected=names, found=found)
            return [_numbers(f"{path}, {name}", archive[name]) for name in names]
    except InputError:
        raise
    except _DAMAGED_ARCHIVE as error:
        raise InputError("not an archive of arrays", where=path, found=error) from None


def _numbers(where: str, array: NDArray[np.generic]) -> Floats:
    """``array`` as float64, if it holds finite numbers."""
    if array.dtype.kind not in "fiu":
        raise InputError("not an array of numbers", where=where, found=array.dtype)
    values = np.asarray(array, dtype=np.float64)
    if not np.isfinite(values).all():
        place = np.unravel_index(np.argmin(np.isfinite(values)), values.shape)
        raise InputError(
            f"value {tuple(map(int, place))} is not finite", where=where, found=values[place]
        )
    return values
