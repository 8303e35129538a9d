"""What recipes on VLAD and Fisher vectors need beside the others: codebooks, and fewer features."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame

from yt8m_spark.core.frame_codebook import CodebookOptions, check_methods
from yt8m_spark.core.tiled_whitening import BYTES_A_COMPONENT
from yt8m_spark.core.whitening_options import WhiteningOptions
from yt8m_spark.frame_codebooks import make_codebooks
from yt8m_spark.recipes import Recipe
from yt8m_spark.spark.frame_sampling import frame_options
from yt8m_spark.spark.whitening import TASK_MEMORY

__all__ = ["codebook_methods", "fit_recipe_codebooks", "reduced"]


def codebook_methods(recipes: Sequence[Recipe]) -> set[str]:
    """Codebooks that ``recipes`` need."""
    return set().union(*(recipe.methods for recipe in recipes))


def fit_recipe_codebooks(
    frames: DataFrame,
    recipes: Sequence[Recipe],
    features: Sequence[str],
    folder: str,
    *,
    options: CodebookOptions,
    heartbeats: str,
    n_videos: int | None,
) -> str:
    """Fit the codebooks that ``recipes`` need on the training ``frames``; gives ``folder``."""
    make_codebooks(
        frames,
        frame_options(frames, features).features,
        check_methods(sorted(codebook_methods(recipes))),
        folder,
        options=options,
        heartbeats=heartbeats,
        n_videos=n_videos,
    )
    return folder


def reduced(
    options: WhiteningOptions, recipe: Recipe, width: int, n_components: int
) -> tuple[WhiteningOptions, int]:
    """What to keep of ``width`` features of ``recipe``, and the bytes that finding it may take.

    Paper: §4.2 reduces encodings to the size of the other features, 1,024. So does this, unless
    ``options`` say how many components or what share of the variance all features keep.
    """
    if not recipe.methods or options.method == "none":
        return options, TASK_MEMORY
    if options.n_components is None and options.explained_variance is None:
        options = options._replace(n_components=min(n_components, width))
    return options, max(TASK_MEMORY, BYTES_A_COMPONENT * width * (options.n_components or 0))
