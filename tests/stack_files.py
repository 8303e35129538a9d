"""A stacked model in its folder, written without the trainer."""

import numpy as np
from model_files import random_model, write_model

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.whitening import fit_whitening
from yt8m_spark.stack import describe_stack
from yt8m_spark.whitening_files import save_whitening

ENTITIES = [3, 8, 21, 22, 50]
D, C = 4, 3


def write_stack(folder, *, known=(3, 8, 22), weight=0.25, seed=0, **changes):
    """Stack of a logistic first stage and a mixture of two of ``known``; (folder, its parts)."""
    first = random_model(1, len(ENTITIES), D, seed)
    second = random_model(4, len(known), C, seed + 1)
    write_model(folder / "first", *first, ENTITIES, whitening="a" * 64)
    write_model(folder / "second", *second, list(known), loss="moe")
    roots = np.sqrt(np.random.default_rng(seed).random((40, len(ENTITIES))))
    whitening = fit_whitening(moments_of(roots), C)
    save_whitening(str(folder / "map"), whitening, ["roots"], [len(ENTITIES)])
    describe_stack(str(folder), weight=weight, description=changes)
    return str(folder)
