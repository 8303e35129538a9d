"""What a dry run sees of a job's inputs: files, bytes, rows and shapes, nothing read through."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.types import ArrayType, IntegerType, StructField, StructType

from yt8m_spark.core.unseen_labels import estimate_distinct
from yt8m_spark.datasets import describe_dataset
from yt8m_spark.errors import InputError
from yt8m_spark.formats.mounted_paths import mounted
from yt8m_spark.spark.read_options import ReadOptions
from yt8m_spark.spark.scan import plan_scan
from yt8m_spark.spark.storage import is_remote
from yt8m_spark.spark.tables import estimate_videos, is_table

__all__ = ["Source", "check_frames", "look_at"]

_DATA = ("training", "evaluation")
_FILES, _ROWS = 4, 20_000  # that are looked into for labels and widths

_Part = TypeVar("_Part")


class _Shapes(NamedTuple):
    """What the first rows of some files tell of all."""

    level: str = ""
    widths: dict[str, int] = {}  # noqa: RUF012 - never changed
    n_entities: int = 0


class Source(NamedTuple):
    """An input of a job."""

    option: str
    path: str
    n_files: int
    n_bytes: int
    rows: int | None  # None: not told without reading
    exact: bool  # whether rows are counted, not estimated
    widths: dict[str, int]  # of the array<float> columns of a row, or of feature lists, if known
    n_entities: int  # distinct labels, estimated from the rows looked into; 0: not known
    level: str  # "frame", "video" or "", not known
    is_data: bool  # videos, not a vocabulary or a fitted value
    of_shards: bool

    @property
    def width(self) -> int:
        """Numbers in all columns of a row; 0 if not known, or there are none."""
        return sum(self.widths.values())


def look_at(path: str, option: str, job: str) -> Source:
    """Input at ``path`` that ``option`` of ``job`` names.

    Raises
    ------
    InputError
        If a Parquet file of it is damaged.
    """
    found = describe_dataset(path, option, job)
    profile = json.loads(found["profile"] or "{}")
    rows, n_files = profile.get("num_rows"), profile.get("num_files", 0)
    exact, of_shards = rows is not None, found["context"] in _DATA and _of_shards(path)
    shapes = _shapes_of_shards(path) if of_shards else _shapes(path)
    if rows is None and of_shards:
        rows = _estimated(path)
    return Source(
        option=option,
        path=path,
        n_files=n_files,
        n_bytes=profile.get("num_bytes", 0),
        rows=rows,
        exact=exact,
        widths=shapes.widths,
        n_entities=shapes.n_entities,
        level=shapes.level,
        is_data=found["context"] in _DATA,
        of_shards=of_shards,
    )


def check_frames(source: Source) -> None:
    """Refuse videos without frames, where that can be seen, for what needs them.

    Raises
    ------
    InputError
        If ``source`` is video-level.
    """
    if source.level == "video":
        expected = "frame-level records"
        raise InputError("there are no frames", where=source.path, expected=expected)


def _of_shards(path: str) -> bool:
    """Whether ``path`` is of TFRecords: a job that takes something else has CSV, or a table."""
    return not is_table(path) and not path.lower().endswith((".csv", ".csv.gz", ".txt", ".json"))


def _shapes_of_shards(path: str) -> _Shapes:
    """Level, widths of feature lists, and distinct labels by the first records of some shards."""
    wanted = StructType([StructField("labels", ArrayType(IntegerType()))])
    try:
        scan = plan_scan(ReadOptions(path, mode="dropmalformed"), wanted)
        labels = Counter[int]()
        for pieces in _some(scan.partitions):
            first = next(iter(scan.read(pieces)), None)
            if first is not None:
                labels.update(first.column(0).flatten().to_pylist())
    except (InputError, OSError, ValueError):  # keys of its own, or no shards: the job will tell
        return _Shapes()
    layout = scan.layout
    return _Shapes(layout.level, dict(layout.widths), estimate_distinct(labels.values()))


def _estimated(path: str) -> int | None:
    try:
        return estimate_videos(path)
    except InputError:  # only the server sees it
        return None


def _shapes(path: str) -> _Shapes:
    """Level, widths of the first row, and distinct labels by the first rows, of a local table."""
    root = Path(mounted(path))
    if is_remote(path) or not root.exists() or not is_table(path):
        return _Shapes()
    files = [root] if root.is_file() else sorted(root.rglob("*.parquet"))
    files = [
        f for f in files if not any(p.startswith(("_", ".")) for p in f.relative_to(root).parts)
    ]
    level, widths, labels = "", dict[str, int](), Counter[int]()
    for file in _some(files):
        try:
            with pq.ParquetFile(file) as table:
                level = level or _level(table.schema_arrow)
                widths = widths or _first_widths(table)
                labels.update(_labels(table))
        except (OSError, ValueError, pa.ArrowException) as error:
            raise InputError("not a Parquet file", where=str(file), found=error) from None
    return _Shapes(level, widths, estimate_distinct(labels.values()))


def _some(parts: Sequence[_Part]) -> Sequence[_Part]:
    """At most `_FILES` of ``parts``, from all over."""
    return parts[:: max(1, len(parts) // _FILES)][:_FILES]


def _level(schema: pa.Schema) -> str:
    """Frames are bytes; what has none has videos' vectors, if it has any."""
    if any(pa.types.is_binary(t) or pa.types.is_large_binary(t) for t in schema.types):
        return "frame"
    return "video" if any(_is_vector(field.type) for field in schema) else ""


def _first_widths(table: pq.ParquetFile) -> dict[str, int]:
    lists = [f.name for f in table.schema_arrow if _is_vector(f.type)]
    batch = next(table.iter_batches(batch_size=1, columns=lists), None) if lists else None
    if batch is None or batch.num_rows == 0:
        return {}
    return {name: len(batch.column(i)[0].as_py() or ()) for i, name in enumerate(lists)}


def _labels(table: pq.ParquetFile) -> list[int]:
    kinds = [field.type for field in table.schema_arrow if field.name == "labels"]
    # Of another type, or twice: the job will tell.
    if len(kinds) != 1 or not _is_list_of(kinds[0], pa.types.is_integer):
        return []
    batch = next(table.iter_batches(batch_size=_ROWS, columns=["labels"]), None)
    return [] if batch is None else list(batch.column(0).flatten().drop_null().to_pylist())


def _is_vector(kind: pa.DataType) -> bool:
    return _is_list_of(kind, pa.types.is_floating)


def _is_list_of(kind: pa.DataType, is_wanted: Callable[[pa.DataType], bool]) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool((is_list or pa.types.is_large_list(kind)) and is_wanted(kind.value_type))
