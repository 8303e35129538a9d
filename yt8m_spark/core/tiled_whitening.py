"""PCA whitening of features too wide for their covariance to be in memory (paper §4.2.2).

Axes: V videos, D features, C components.
"""

from __future__ import annotations

import math

from yt8m_spark.core.eigenpairs import leading_eigenpairs
from yt8m_spark.core.moment_tiles import TiledMoments
from yt8m_spark.core.whitening import Whitening, whitening_of_pairs
from yt8m_spark.core.whitening_options import WhiteningOptions, check_varies

__all__ = ["BYTES_A_COMPONENT", "DEFAULT_COMPONENTS", "check_fits", "fit_tiled_whitening"]

# What the search for C components of D features holds, for each of their C D numbers.
BYTES_A_COMPONENT = 48
# Kept where nothing says how many: §4.2 reduces encodings, the wide ones of the paper, to 1,024.
DEFAULT_COMPONENTS = 1024


def check_fits(width: int, options: WhiteningOptions, memory: int) -> int:
    """The most components of D = ``width`` features that ``memory`` bytes hold.

    Raises
    ------
    ValueError
        If more are asked for, or it holds none.
    """
    most = min(width - 1, memory // (BYTES_A_COMPONENT * width))
    options.check_width(width)
    asked = options.n_components or 1
    if asked > most:
        # All D of them are never found without the whole covariance.
        needed = BYTES_A_COMPONENT * width * asked if asked < width else 64 * width**2
        raise ValueError(
            f"{asked} components of {width} features need more memory than "
            f"{memory / 2**20:.4g} MiB: give n_components of at most {most}, "
            f"or memory of {math.ceil(needed / 2**20)} MiB"
        )
    return most


def fit_tiled_whitening(moments: TiledMoments, options: WhiteningOptions, memory: int) -> Whitening:
    """As `core.whitening.fit_whitening`, for a covariance too wide for ``memory`` bytes.

    Only leading components are found (see `leading_eigenpairs`): where ``options`` do not say how
    many, the first 1,024, or as many as ``memory`` holds, or as n videos have, n - 1.

    Raises
    ------
    ValueError
        If an option is out of range, the rows do not vary, or more components are asked for, or
        needed for the share of variance asked for, than ``memory`` holds.
    """
    options.check()
    most = check_fits(moments.width, options, memory)
    total = float(moments.variances.sum())
    check_varies(total, moments.n)
    n_components = options.n_components
    if options.keeps_all:
        n_components = min(DEFAULT_COMPONENTS, most, max(1, moments.n - 1))
    pairs = leading_eigenpairs(moments, n_components, options.explained_variance, most)
    return whitening_of_pairs(moments.mean, pairs, total, options)
