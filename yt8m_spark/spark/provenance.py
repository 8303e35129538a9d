"""Which whitening a features table came from, so that a model never scores another one's features.

The table's folder holds ``_whitening.json``, which readers of Parquet pass over; a model's
description repeats the digest. Tables from elsewhere have none, and are taken as they are.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import read_description
from yt8m_spark.spark.frame_sampling import frames_of
from yt8m_spark.whitening_files import load_whitening

__all__ = [
    "MARK",
    "check_same_whitening",
    "mark_features",
    "origin_of",
    "table_stamp",
    "whitening_of",
]

MARK = "_whitening.json"  # in the folder of a table: where its features come from


def mark_features(features_folder: str, whitening_folder: str) -> None:
    """Note in ``features_folder`` by which whitening the table was made."""
    whitening, columns = load_whitening(whitening_folder)
    save_json(Path(features_folder) / MARK, {"digest": whitening.digest, "columns": columns})


def whitening_of(features_folder: str) -> str | None:
    """Digest of the whitening of the features table in ``features_folder``; None if not noted."""
    mark = Path(features_folder) / MARK
    return str(load_json(mark)["digest"]) if mark.exists() else None


def origin_of(features_folder: str) -> dict[str, Any]:
    """What a model that learns from the table in ``features_folder`` must remember of it.

    Digest of its whitening, and, if its rows are frames, how they were sampled.
    """
    frames = frames_of(features_folder)
    whitening = {"whitening": whitening_of(features_folder)}
    return whitening if frames is None else whitening | {"frames": frames}


def table_stamp(folder: str) -> str:
    """Digest of the names, sizes and times of a table's files: another once it is rewritten."""
    root = Path(folder)
    paths = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    stats = [(str(path.relative_to(root)), path.stat()) for path in paths]
    listed = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return hashlib.sha256(repr(listed).encode()).hexdigest()


def check_same_whitening(features_folder: str, model_folder: str) -> None:
    """Refuse features of another whitening than the model was trained on.

    Raises
    ------
    InputError
        If both are known and differ: widths may well agree, and every score would be wrong.
    """
    found = whitening_of(features_folder)
    expected = read_description(model_folder).get("whitening")
    if found and expected and found != expected:
        raise InputError(
            "features are of another whitening than the model's",
            where=features_folder,
            expected=f"digest {expected[:12]}",
            found=found[:12],
        )
