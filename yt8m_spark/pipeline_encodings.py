"""What recipes on VLAD and Fisher vectors need beside the others: codebooks."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame

from yt8m_spark.core.frame_codebook import CodebookOptions, check_methods
from yt8m_spark.frame_codebooks import make_codebooks
from yt8m_spark.recipes import Recipe
from yt8m_spark.spark.frame_sampling import frame_options

__all__ = ["codebook_methods", "fit_recipe_codebooks"]


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
