"""The two files of a training shard, and how to read them near the speed of memory.

``NNNNN.features.npy`` is (V, D) float32, float16 or uint8; ``NNNNN.labels.npy`` is int32, first
the number of labels of each video (V), then the entity ids of all, video by video (L).

Axes: V videos of the shard, N videos asked for, D features, L labels.
"""

from __future__ import annotations

import threading
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.artifacts import file_in_place
from yt8m_spark.core.chunks import check_rows
from yt8m_spark.core.stored_features import Decoder
from yt8m_spark.errors import InputError

__all__ = ["feature_file", "label_file", "read_features", "read_labels", "write_shard"]

# Float32 of the rows that are gathered and decoded at once: they stay in the cache between the two.
_BLOCK_BYTES = 1 << 18


class _Kept(threading.local):
    """The buffer of one thread."""

    def __init__(self) -> None:
        self.flat = np.empty(0, np.uint8)


_kept = _Kept()


def feature_file(number: int) -> str:
    """Name of the file of features of shard ``number``."""
    return f"{number:05d}.features.npy"


def label_file(number: int) -> str:
    """Name of the file of labels of shard ``number``."""
    return f"{number:05d}.labels.npy"


def write_shard(
    folder: str,
    number: int,
    features: NDArray[Any],
    label_counts: NDArray[np.integer],
    label_values: NDArray[np.integer],
) -> tuple[int, int]:
    """Write shard ``number`` to ``folder``, which must be there; return the bytes of each file.

    Parameters
    ----------
    features : (V, D) float32, float16 or uint8
        As they are to be stored.
    label_counts : (V,) int
    label_values : (L,) int
        Entity ids, of all videos in order.
    """
    labels = np.concatenate([label_counts, label_values]).astype(np.int32)
    files = {feature_file(number): features, label_file(number): labels}
    return tuple(_write_array(Path(folder) / name, array) for name, array in files.items())  # type: ignore[return-value]


def read_features(
    path: Path,
    shape: tuple[int, int],
    dtype: str,
    decode: Decoder,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Rows ``rows`` (N,) of a file of features, all if None, as (N, D) float32 of their own.

    Parameters
    ----------
    path : Path
        Of (V, D) ``dtype``.
    shape : (int, int)
        V and D, which the file must have.
    decode : Decoder
        Of ``dtype``.
    rows : (N,) int64, optional
        Each 0 to V - 1, in any order, one more than once or not at all.

    Raises
    ------
    InputError
        If the file is missing, cut short, or of another shape or type.
    IndexError
        If one of ``rows`` is out of range.

    Notes
    -----
    The file is read once, from front to back, into a buffer that each thread keeps (of at most a
    shard as it is stored), then its rows are gathered, and decoded while they are in the cache.
    That is as fast as rows of a file mapped into memory, and those would each wait for network
    storage.
    """
    if rows is not None:
        check_rows(rows, shape[0])
    with _opened_array(path, shape, dtype) as file:
        if rows is None and dtype == "float32":
            return _filled(np.empty(shape, np.float32), file, path)
        stored = _filled(_buffer(shape, dtype), file, path)
    if rows is None:
        rows = np.arange(shape[0])
    out = np.empty((len(rows), shape[1]), np.float32)
    if dtype == "float32":
        # No row is out of range: clipping is the fastest way of `take`, the only one of one copy.
        return np.asarray(stored.take(rows, axis=0, out=out, mode="clip"))
    size = max(1, _BLOCK_BYTES // max(4 * shape[1], 1))
    for start in range(0, len(rows), size):
        block = slice(start, start + size)
        decode(stored.take(rows[block], axis=0), out[block])
    return out


def read_labels(path: Path, n_videos: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Offsets (V + 1,) and values (L,) of a file of labels.

    Raises
    ------
    InputError
        If the file is missing, cut short or damaged.
    """
    with _opened_array(path, None, "int32") as file:
        labels = np.frombuffer(file.read(), np.int32)
    offsets = np.zeros(n_videos + 1, np.int64)
    np.cumsum(labels[:n_videos], out=offsets[1 : 1 + len(labels[:n_videos])])
    if len(labels) != n_videos + offsets[-1]:
        raise InputError(
            "shard is damaged",
            where=str(path),
            expected=f"{n_videos + offsets[-1]} numbers",
            found=len(labels),
        )
    return offsets, labels[n_videos:]


def _write_array(path: Path, array: NDArray[Any]) -> int:
    with file_in_place(path) as temporary:
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        return temporary.stat().st_size


@contextmanager
def _opened_array(path: Path, shape: tuple[int, int] | None, dtype: str) -> Iterator[IO[bytes]]:
    """A .npy file, not buffered, at the first of its values; refused if it is another array."""
    try:
        with path.open("rb", buffering=0) as file:
            found = _header(file)
            if found != (shape or found[0], np.dtype(dtype)):
                told = f"{found[0]} {found[1]}"
                expected = f"{shape} {dtype}"
                raise InputError(
                    "shard is of another kind", where=str(path), expected=expected, found=told
                )
            yield file
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except (OSError, EOFError) as error:
        raise InputError("shard cannot be read", where=str(path), found=error) from None


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type; those of no array if it is no .npy file in order of rows."""
    try:
        np.lib.format.read_magic(file)
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
    except (ValueError, SyntaxError, tokenize.TokenError):  # NumPy reads it as Python
        return (), np.dtype("V")
    return ((), dtype) if columns_first and len(shape) > 1 else (shape, dtype)


def _buffer(shape: tuple[int, int], dtype: str) -> NDArray[Any]:
    """Memory of this thread for a shard as it is stored; the next call gives it again."""
    size = shape[0] * shape[1] * np.dtype(dtype).itemsize
    if _kept.flat.size < size:
        _kept.flat = np.empty(size, np.uint8)
    return _kept.flat[:size].view(dtype).reshape(shape)


def _filled(array: NDArray[Any], file: IO[bytes], path: Path) -> NDArray[Any]:
    """``array`` read full from ``file``; a read may give less than was asked for."""
    view, n_bytes = array.reshape(-1).view(np.uint8).data, 0
    while n_bytes < len(view):
        got = file.readinto(view[n_bytes:])  # type: ignore[attr-defined]
        if not got:
            raise InputError(
                "shard is cut short",
                where=str(path),
                expected=f"{len(view) - n_bytes} more bytes",
                found="the end",
            )
        n_bytes += got
    return array
