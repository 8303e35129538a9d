"""What a job reads, told as MLflow tells of data: name, source, digest, schema, counts.

The digest is of a table's manifest, if it has one, else of the names and sizes of its files (and
rows, for Parquet): the same data have the same one wherever they lie.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from yt8m_spark.errors import InputError
from yt8m_spark.events import note
from yt8m_spark.formats.mounted_paths import mounted
from yt8m_spark.manifest import load_manifest
from yt8m_spark.masking import masked
from yt8m_spark.spark.storage import absolute, is_folder, is_remote, match_files

__all__ = ["Described", "describe_dataset"]

Described = dict[str, str | None]

_DIGEST = 16  # hexadecimal digits; MLflow has room for 36
_MAX_SCHEMA = 1_000_000  # characters
_MOST_FOOTERS = 256  # files of a table whose rows are counted

# Options of jobs that name data to judge by; what else is read as data is learned from.
_TO_JUDGE = {"test", "validate", "truth", "predictions", "ratings"}
# Jobs, by how their names start, all of whose data are.
_JUDGES = ("evaluate", "predict", "write", "average", "compare", "build_explorer")
_MAKERS = ("build_vocabulary", "build_dataset")  # whose data, ratings too, are what others learn
_NO_DATA = ("vocabulary", "model", "initial_model", "extends", "whitening", "calibration", "pca")


class _Found(NamedTuple):
    """What is known of the data without Spark."""

    digest: str
    schema: pa.Schema | None = None
    profile: dict[str, int] | None = None


def describe_dataset(path: str, option: str, job: str) -> Described:
    """Data at ``path``, a table, glob or file, local or not, for `TrackedRun.log_inputs`.

    Parameters
    ----------
    path : str
    option : str
        Option of the job that named it.
    job : str
        Name of the job.

    Returns
    -------
    dict
        ``name, digest, source_type, source, schema, profile`` as MLflow has them, and ``context``:
        "training" or "evaluation" for videos; for a vocabulary or a fitted value, its option.

    Notes
    -----
    Never fails. Data that only Spark can see (Spark Connect) or that cannot be listed get a digest
    of their path. MLflow knows a dataset of an experiment by name and digest: where the same data
    lie in two places whose last two folders have the same names, it shows the first place for both.
    """
    try:
        found = _look_at(path)
    except (InputError, OSError, ValueError):
        found = _Found(_digest([path]))
    return {
        "name": _name(absolute(path)),
        "digest": found.digest,
        "source_type": _source_type(path),
        "source": json.dumps({"uri": masked(absolute(path))}),
        "schema": _schema_json(found.schema),
        "profile": json.dumps(found.profile) if found.profile else None,
        "context": _context(option, job),
    }


def _context(option: str, job: str) -> str:
    if option in _NO_DATA:
        return option
    judged = job not in _MAKERS and (option in _TO_JUDGE or job.startswith(_JUDGES))
    return "evaluation" if judged else "training"


def _look_at(path: str) -> _Found:
    if is_remote(path):
        return _of_remote(path)
    if os.environ.get("SPARK_REMOTE") and not os.path.exists(path):
        raise InputError("only the server sees it", where=path)
    root = Path(mounted(path))
    manifest = load_manifest(root) if root.is_dir() else None
    if manifest is not None:
        parts = sorted((entry.sha256, entry.part_sha256) for entry in manifest.shards.values())
        digest, rows = _digest(parts), sum(entry.records for entry in manifest.shards.values())
        tables = [file for file in _visible(root) if file.suffix == ".parquet"]
        schema = pq.read_schema(tables[0]) if tables else None
        n_bytes = sum(entry.part_bytes for entry in manifest.shards.values())
        return _Found(digest, schema, _profile(len(parts), n_bytes, rows))
    files = _visible(root) if root.exists() else [Path(f.path) for f in match_files(path)]
    return _of_files(root if root.is_dir() else None, files)


def _of_files(root: Path | None, files: Sequence[Path]) -> _Found:
    """Local ``files``, those of a folder by their names in it."""
    names = [str(file.relative_to(root)) if root else file.name for file in files]
    sizes = [file.stat().st_size for file in files]
    tables = [file for file in files if file.suffix == ".parquet"]
    rows: list[int] = []
    if tables and len(tables) <= _MOST_FOOTERS:
        rows = [pq.read_metadata(table).num_rows for table in tables]
    schema = pq.read_schema(tables[0]) if tables else None
    listed = [*zip(names, sizes, strict=True), rows]
    n_rows = sum(rows) if rows else None
    if not tables:
        _tell_empty([str(file) for file, size in zip(files, sizes, strict=True) if not size], files)
    return _Found(_digest(listed), schema, _profile(len(files), sum(sizes), n_rows))


def _of_remote(path: str) -> _Found:
    """Files below a URI, or of a pattern: their names and sizes, nothing read."""
    below = f"{path.rstrip('/')}/**/*.parquet"
    try:
        files = match_files(below) if is_folder(path) else match_files(path)
    except InputError:
        files = match_files(path)  # a folder of shards
    listed = [
        (file.path.rpartition("/")[2], file.size)
        for file in files
        if not _hidden(file.path.removeprefix(path).split("/"))
    ]
    _tell_empty([file.path for file in files if not file.size], files)
    return _Found(_digest(listed), None, _profile(len(listed), sum(size for _, size in listed)))


def _tell_empty(empty: Sequence[str], files: Sequence[object]) -> None:
    """Tell of files without a byte: as shards they hold no records, as downloads they failed."""
    if empty:
        more = f" and {len(empty) - 1:,} more" if len(empty) > 1 else ""
        note(f"warning: empty files, {len(empty):,} of {len(files):,}: {masked(empty[0])}{more}")


def _visible(root: Path) -> list[Path]:
    """The file, or all files below the folder that are data: no marks, no checksums."""
    if root.is_file():
        return [root]
    below = [(path, path.relative_to(root).parts) for path in sorted(root.rglob("*"))]
    return [p for p, parts in below if p.is_file() and not _hidden(parts)]


def _hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)


def _profile(n_files: int, n_bytes: int, n_rows: int | None = None) -> dict[str, int]:
    known = {"num_files": n_files, "num_bytes": n_bytes}
    return known if n_rows is None else {"num_rows": n_rows, **known}


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:_DIGEST]


def _name(path: str) -> str:
    """Last part of the path that is no pattern and tells something: "features/train" of a table."""
    parts = [part for part in masked(path).rstrip("/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts[-2:])[:200] or "/"


def _source_type(path: str) -> str:
    """Scheme by which MLflow finds a source of data again."""
    return path.partition("://")[0].lower() if is_remote(path) else "local"


def _schema_json(schema: pa.Schema | None) -> str | None:
    """Columns as MLflow's signatures have them; None if there are none or too many."""
    if schema is None:
        return None
    columns = [{"name": f.name, "required": False, **_type_json(f.type)} for f in schema]
    text = json.dumps({"mlflow_colspec": columns})
    return text if len(text) < _MAX_SCHEMA else None


def _type_json(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return {"type": "array", "items": _type_json(kind.value_type)}
    return {"type": _TYPES.get(str(kind), "string")}


_TYPES = {
    "bool": "boolean",
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
    "int64": "long",
    "float": "float",
    "double": "double",
    "binary": "binary",
    "large_binary": "binary",
}
