"""VLAD and Fisher vectors of batches of frames: `core.vlad` and `core.fisher` where the frames are.

Codebooks travel as the path of their folder (`yt8m_spark.frame_codebook_files`).

Axes: V videos of a batch, D features, W numbers of an encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from yt8m_spark.core.fisher import encode_fisher
from yt8m_spark.core.frame_codebook import FrameCodebook
from yt8m_spark.core.statistic_names import ENCODINGS, is_encoding
from yt8m_spark.core.vlad import encode_vlad
from yt8m_spark.errors import InputError
from yt8m_spark.frame_codebook_files import codebooks_digest, load_codebooks

__all__ = ["EncodingPlan", "check_codebook_option", "encode_frames", "plan_encodings", "slices"]

# Numbers of the encodings of a batch: 32 MiB. A batch of frames, whose encodings may be ten times
# as large as they are, is cut to that.
_NUMBERS_AT_ONCE = 1 << 23

_ENCODERS: dict[str, Callable[..., NDArray[np.float32]]] = {
    "vlad": encode_vlad,
    "fisher": encode_fisher,
}


class EncodingPlan(NamedTuple):
    """Codebooks for a table: where they are, and which these are."""

    path: str
    digest: str
    width: int  # W of all encodings of a video together


def check_codebook_option(statistics: Sequence[str], codebook: str | None) -> None:
    """Refuse encodings without a codebook, and a codebook that no encoding needs.

    Raises
    ------
    ValueError
        A codebook that nothing used would leave a user to think that it was.
    """
    encodings = [name for name in statistics if is_encoding(name)]
    if encodings and codebook is None:
        raise ValueError(f"statistic {encodings[0]} needs a codebook, see fit_frame_codebook")
    if codebook is not None and not encodings:
        raise ValueError(f"a codebook goes with {' or '.join(ENCODINGS)} among the statistics")


def plan_encodings(
    statistics: Sequence[str], features: Mapping[str, int], codebook: str | None
) -> EncodingPlan | None:
    """Plan the encodings among ``statistics`` of ``features``; None if there are none.

    Parameters
    ----------
    statistics : sequence of str
    features : mapping of str to int
        Feature lists and their widths D; 0 where not known.
    codebook : str, optional
        Folder of codebooks, which all tasks must see.

    Raises
    ------
    InputError
        If the folder holds no codebooks, none of a list or of the method that an encoding needs,
        or one of another D.
    ValueError
        See `check_codebook_option`.
    """
    check_codebook_option(statistics, codebook)
    if codebook is None:
        return None
    path = str(Path(codebook).resolve())  # tasks may run elsewhere
    books = load_codebooks(path)
    found = [
        _codebook(books, encoding, name, width, path)
        for encoding in statistics
        if is_encoding(encoding)
        for name, width in features.items()
    ]
    return EncodingPlan(path, codebooks_digest(books), sum(book.width for book in found))


def encode_frames(
    statistics: Sequence[str],
    name: str,
    codes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    plan: EncodingPlan | None,
) -> dict[str, NDArray[np.float32]]:
    """Encodings (V, W) among ``statistics`` of the frames of feature list ``name``.

    A video of no frames has NaN. Without a plan there are none.

    Raises
    ------
    InputError
        If the frames are of another D than the codebook, or the codebooks were replaced meanwhile.
    """
    if plan is None:
        return {}
    books = _cached_codebooks(plan.path, plan.digest)
    width = codes.shape[1] if len(codes) else 0  # of no frames it may not be known
    found = {}
    for encoding in filter(is_encoding, statistics):
        book = _codebook(books, encoding, name, width, plan.path)
        rows = codes if len(codes) else np.empty((0, book.n_features), np.uint8)
        found[encoding] = _ENCODERS[encoding](rows, offsets, book)
    return found


def slices(batch: pa.RecordBatch, plan: EncodingPlan | None) -> Iterator[pa.RecordBatch]:
    """``batch`` in parts whose encodings are not too many to hold at once."""
    n_rows = batch.num_rows if plan is None else max(1, _NUMBERS_AT_ONCE // plan.width)
    for start in range(0, batch.num_rows, max(1, n_rows)):
        yield batch.slice(start, n_rows)


def _codebook(
    books: Mapping[str, Mapping[str, FrameCodebook]],
    encoding: str,
    name: str,
    width: int,
    where: str,
) -> FrameCodebook:
    """Codebook that ``encoding`` takes for the list ``name`` of ``width`` features, 0: any."""
    method = ENCODINGS[encoding]
    if method not in books:
        raise InputError(
            f"{encoding} needs a codebook of method {method}",
            where=where,
            expected=method,
            found=", ".join(books),
        )
    if name not in books[method]:
        raise InputError(
            f"no codebook of feature list {name!r}",
            where=where,
            expected=name,
            found=", ".join(books[method]),
        )
    book = books[method][name]
    if width and width != book.n_features:
        raise InputError(
            f"feature list {name!r} has not the width of its codebook",
            where=where,
            expected=book.n_features,
            found=width,
        )
    return book


@lru_cache(maxsize=2)
def _cached_codebooks(path: str, digest: str) -> dict[str, dict[str, FrameCodebook]]:
    """A worker process serves many tasks; it reads codebooks once, and again once refitted."""
    books = load_codebooks(path)
    if codebooks_digest(books) != digest:
        raise InputError("codebooks were replaced since the encodings were asked for", where=path)
    return books
