"""How many components the recipes of a pipeline keep."""

from __future__ import annotations

from yt8m_spark.core.tiled_whitening import BYTES_A_COMPONENT, check_fits
from yt8m_spark.core.whitening_options import WhiteningOptions
from yt8m_spark.errors import InputError
from yt8m_spark.recipes import Recipe
from yt8m_spark.spark.moments import fits_one_state
from yt8m_spark.spark.whitening import TASK_MEMORY

__all__ = ["reduced"]


def reduced(
    options: WhiteningOptions, recipe: Recipe, width: int, n_components: int
) -> tuple[WhiteningOptions, int]:
    """What to keep of ``width`` features of ``recipe``, and the bytes that finding it may take.

    Paper: §4.2 reduces encodings to the size of the other features, 1,024. So does this, unless
    ``options`` say how many components or what share of the variance all features keep.

    Raises
    ------
    InputError
        If ``options`` ask for more components than there can be.
    """
    if options.method == "none":
        return options, TASK_MEMORY
    if recipe.methods and options.keeps_all:
        options = options._replace(n_components=min(n_components, width))
    memory = max(TASK_MEMORY, BYTES_A_COMPONENT * width * (options.n_components or 0))
    try:
        options.check_width(width)
        if not fits_one_state(width, memory):
            check_fits(width, options, memory)
    except ValueError as error:
        raise InputError(str(error), where=f"recipe {recipe.name}") from None
    return options, memory
