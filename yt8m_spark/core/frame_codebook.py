"""Codebooks of frames: the centres that VLAD and Fisher vectors describe a video by (paper §4.1.2).

A codebook of method "kmeans" has centres; one of method "gmm" is a mixture of K Gaussians with
diagonal covariances, and has variances and weights too. Either may begin with a PCA of the frames.

Axes: N frames, D features of a frame, P of them after the PCA (D without one), K centres.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.quantization import LEVELS, STEP

__all__ = [
    "METHODS",
    "CodebookMethod",
    "CodebookOptions",
    "FrameCodebook",
    "FrameProjection",
    "check_methods",
    "descriptors",
    "gmm_codebook",
]

Floats = NDArray[np.float64]
CodebookMethod = Literal["kmeans", "gmm"]
METHODS: tuple[CodebookMethod, ...] = get_args(CodebookMethod)

# The least variance of a Gaussian, as a share of the variance of all frames in that feature: one
# that fell on a few equal frames (a still picture, silence) would outweigh all others. And never
# less than what rounding to a code leaves, which a feature that does not vary still has.
VARIANCE_FLOOR = 0.01
_CODE_VARIANCE = STEP**2 / 12


class CodebookOptions(NamedTuple):
    """How codebooks are fitted, and how their encodings are normalised."""

    n_centres: int = 64  # K
    n_sampled: int = 200_000  # frames to fit on
    n_dimensions: int | None = None  # P, of a PCA of the frames; None: the frames as they are
    power: float = 0.5
    intra: bool = False
    seed: int = 0

    def check(self) -> None:
        """Refuse what is out of range.

        Raises
        ------
        ValueError
            If a value is.
        """
        if self.n_centres < 1:
            raise ValueError(f"n_centres must be at least 1, got {self.n_centres}")
        if self.n_sampled < self.n_centres:
            raise ValueError(
                f"sample must be at least n_centres, {self.n_centres}, got {self.n_sampled}"
            )
        if self.n_dimensions is not None and self.n_dimensions < 1:
            raise ValueError(f"n_dimensions must be at least 1, got {self.n_dimensions}")
        if not 0 < self.power <= 1:
            raise ValueError(f"power must be above 0 and at most 1, got {self.power}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")


def check_methods(methods: Sequence[str]) -> list[CodebookMethod]:
    """Give ``methods``, each once.

    Raises
    ------
    ValueError
        If one is unknown, or there is none.
    """
    known = [method for method in METHODS if method in methods]
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not known:
        raise ValueError(
            f"method must be of {', '.join(METHODS)}, got {', '.join(unknown) or 'none'}"
        )
    return known


class FrameProjection(NamedTuple):
    """A PCA of frames: ``(x - mean) @ rows.T``, not whitened."""

    mean: NDArray[np.float32]  # (D,)
    rows: NDArray[np.float32]  # (P, D), orthonormal


@dataclass(frozen=True, eq=False)  # arrays have no one truth; `digest` compares
class FrameCodebook:
    """K centres of frames, and how what is encoded by them is normalised.

    Raises
    ------
    ValueError
        If shapes do not fit together, a number is not finite, a variance is not above 0, or
        weights are none: encodings would be NaN, or wrong, silently.
    """

    centres: NDArray[np.float32]  # (K, P): k-means centres, or means of the Gaussians
    variances: NDArray[np.float32] | None = None  # (K, P), of a mixture
    weights: Floats | None = None  # (K,), of a mixture; their sum is 1
    projection: FrameProjection | None = None
    power: float = 0.5  # exponent of the power normalisation; 1: none
    intra: bool = False  # VLAD: every centre's part has length 1 first

    def __post_init__(self) -> None:
        """Refuse what is no codebook."""
        _check_centres(self.centres)
        if (self.variances is None) != (self.weights is None):
            raise ValueError("a mixture has variances and weights, k-means neither; one is missing")
        if self.variances is not None and self.weights is not None:
            _check_mixture(self.centres.shape, self.variances, self.weights)
        if self.projection is not None:
            _check_projection(self.projection, self.centres.shape[1])
        if not 0 < self.power <= 1:
            raise ValueError(f"power must be above 0 and at most 1, got {self.power}")

    @property
    def method(self) -> CodebookMethod:
        """Which kind of codebook it is."""
        return "kmeans" if self.variances is None else "gmm"

    @property
    def n_centres(self) -> int:
        """K."""
        return len(self.centres)

    @property
    def n_dimensions(self) -> int:
        """P, features of a frame that centres are of."""
        return int(self.centres.shape[1])

    @property
    def n_features(self) -> int:
        """D, the width of the frames that it describes."""
        return self.n_dimensions if self.projection is None else len(self.projection.mean)

    @property
    def width(self) -> int:
        """Length of an encoding: K·P of VLAD, 2·K·P of a Fisher vector."""
        return self.centres.size * (1 if self.variances is None else 2)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that encodings depend on, in hexadecimal digits."""
        arrays = (self.centres, self.variances, self.weights, *(self.projection or ()))
        hashed = hashlib.sha256(f"{self.power!r} {self.intra}".encode())
        for array in arrays:
            if array is None:
                hashed.update(b"none")
            else:
                hashed.update(f"{array.dtype.str}{array.shape}".encode())
                hashed.update(np.ascontiguousarray(array).tobytes())
        return hashed.hexdigest()


def gmm_codebook(
    means: Floats,
    variances: Floats,
    weights: Floats,
    *,
    frame_variances: Floats,
    n_frames: int,
    projection: FrameProjection | None,
    options: CodebookOptions,
) -> FrameCodebook:
    """Codebook of a fitted mixture, its degenerate Gaussians mended.

    Parameters
    ----------
    means, variances : (K, P) float64
    weights : (K,) float64
    frame_variances : (P,) float64
        Of all frames that it was fitted on.
    n_frames : int
        How many these were.
    projection : FrameProjection, optional
    options : CodebookOptions
        How encodings are to be normalised.

    Notes
    -----
    Both floors are ours. A variance is at least 1 % of that of all frames, and at least the
    variance of the error of the 8-bit code. A weight is at least that of one frame: a Fisher
    vector divides by its root.
    """
    floor = np.maximum(VARIANCE_FLOOR * frame_variances, _CODE_VARIANCE)
    held = np.maximum(weights, 1 / n_frames)
    return FrameCodebook(
        np.asarray(means, np.float32),
        np.maximum(variances, floor).astype(np.float32),
        held / held.sum(),
        projection,
        power=options.power,
        intra=options.intra,
    )


def descriptors(frames: NDArray[np.generic], codebook: FrameCodebook) -> NDArray[np.float32]:
    """What the centres of ``codebook`` are compared with: (N, P) of ``frames`` (N, D).

    Frames are 8-bit codes, which are dequantized, or values.

    Raises
    ------
    ValueError
        If frames are neither uint8 nor float32, or of another D than the codebook's.
    """
    if frames.dtype not in (np.uint8, np.float32):
        raise ValueError(f"frames must be uint8 codes or float32 values, got {frames.dtype}")
    if frames.shape[1] != codebook.n_features:
        raise ValueError(
            f"frames must have the codebook's {codebook.n_features} features, got {frames.shape[1]}"
        )
    values: NDArray[np.float32]
    values = LEVELS[frames] if frames.dtype == np.uint8 else np.asarray(frames, np.float32)
    if codebook.projection is None:
        return values
    mean, rows = codebook.projection
    return np.asarray((values - mean) @ rows.T, dtype=np.float32)


def _check_centres(centres: NDArray[np.float32]) -> None:
    if centres.ndim != 2 or not centres.size:
        raise ValueError(f"centres must be (K >= 1, P >= 1), got {centres.shape}")
    if centres.dtype != np.float32 or not np.isfinite(centres).all():
        raise ValueError("centres must be finite float32 numbers")


def _check_mixture(shape: tuple[int, ...], variances: NDArray[np.float32], weights: Floats) -> None:
    if variances.shape != shape or weights.shape != shape[:1]:
        raise ValueError(
            f"variances must be {shape} and weights {shape[:1]}, "
            f"got {variances.shape} and {weights.shape}"
        )
    if variances.dtype != np.float32 or not (np.isfinite(variances) & (variances > 0)).all():
        raise ValueError("variances must be finite float32 numbers above 0")
    if not (weights > 0).all() or abs(weights.sum() - 1) > 1e-6:
        raise ValueError("weights must be above 0 and sum to 1")


def _check_projection(projection: FrameProjection, n_dimensions: int) -> None:
    mean, rows = projection
    if mean.ndim != 1 or rows.shape != (n_dimensions, len(mean)):
        raise ValueError(
            f"projection must be ({n_dimensions}, {mean.size}), as centres and mean are, "
            f"got {rows.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(rows).all()):
        raise ValueError("projection must hold finite numbers")
