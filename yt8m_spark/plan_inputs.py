"""What a dry run sees of a job's inputs: files, bytes, rows and shapes, nothing read through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.types import ArrayType, IntegerType, StructField, StructType

from yt8m_spark.datasets import describe_dataset
from yt8m_spark.errors import InputError
from yt8m_spark.formats.mounted_paths import mounted
from yt8m_spark.spark.read_options import ReadOptions
from yt8m_spark.spark.scan import plan_scan
from yt8m_spark.spark.storage import is_remote
from yt8m_spark.spark.tables import estimate_videos, is_table

__all__ = ["Source", "look_at"]

_DATA = ("training", "evaluation")
_FILES, _ROWS = 4, 20_000  # that are looked into for labels and widths


class Source(NamedTuple):
    """An input of a job."""

    option: str
    path: str
    n_files: int
    n_bytes: int
    rows: int | None  # None: not told without reading
    exact: bool  # whether rows are counted, not estimated
    widths: dict[str, int]  # of the array<float> columns of a row, or of feature lists, if known
    n_entities: int  # distinct labels of the rows looked into; 0: not known
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
    widths, n_entities = _shapes_of_shards(path) if of_shards else _shapes(path)
    if rows is None and of_shards:
        rows = _estimated(path)
    return Source(
        option=option,
        path=path,
        n_files=n_files,
        n_bytes=profile.get("num_bytes", 0),
        rows=rows,
        exact=exact,
        widths=widths,
        n_entities=n_entities,
        is_data=found["context"] in _DATA,
        of_shards=of_shards,
    )


def _of_shards(path: str) -> bool:
    """Whether ``path`` is of TFRecords: a job that takes something else has CSV, or a table."""
    return not is_table(path) and not path.lower().endswith((".csv", ".csv.gz", ".txt", ".json"))


def _shapes_of_shards(path: str) -> tuple[dict[str, int], int]:
    """Widths of feature lists, and distinct labels of the first records."""
    wanted = StructType([StructField("labels", ArrayType(IntegerType()))])
    try:
        scan = plan_scan(ReadOptions(path, mode="dropmalformed"), wanted)
        first = next(iter(scan.read(scan.partitions[0])), None) if scan.partitions else None
    except (InputError, OSError, ValueError):  # keys of its own, or no shards: the job will tell
        return {}, 0
    labels = set[int]() if first is None else set(first.column(0).flatten().unique().to_pylist())
    return dict(scan.layout.widths), len(labels)


def _estimated(path: str) -> int | None:
    try:
        return estimate_videos(path)
    except InputError:  # only the server sees it
        return None


def _shapes(path: str) -> tuple[dict[str, int], int]:
    """Widths of the first row, and distinct labels of the first rows, of a local table."""
    root = Path(mounted(path))
    if is_remote(path) or not root.exists() or not is_table(path):
        return {}, 0
    files = [root] if root.is_file() else sorted(root.rglob("*.parquet"))
    files = [
        f for f in files if not any(p.startswith(("_", ".")) for p in f.relative_to(root).parts)
    ]
    widths, labels = dict[str, int](), set[int]()
    for file in files[:: max(1, len(files) // _FILES)][:_FILES]:
        try:
            widths = widths or _first_widths(file)
            labels |= _labels(file)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise InputError("not a Parquet file", where=str(file), found=error) from None
    return widths, len(labels)


def _first_widths(file: Path) -> dict[str, int]:
    with pq.ParquetFile(file) as table:
        lists = [f.name for f in table.schema_arrow if _is_vector(f.type)]
        batch = next(table.iter_batches(batch_size=1, columns=lists), None) if lists else None
        if batch is None or batch.num_rows == 0:
            return {}
        return {name: len(batch.column(name)[0].as_py() or ()) for name in lists}


def _labels(file: Path) -> set[int]:
    with pq.ParquetFile(file) as table:
        if "labels" not in table.schema_arrow.names:
            return set()
        batch = next(table.iter_batches(batch_size=_ROWS, columns=["labels"]), None)
        if batch is None or not pa.types.is_list(batch.schema.field(0).type):
            return set()
        return set(batch.column(0).flatten().unique().to_pylist())


def _is_vector(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list and pa.types.is_floating(kind.value_type))
