"""Options of ``spark.read.format("yt8m")``, checked once.

Names are Spark's own where it has them (``mode``, ``columnNameOfCorruptRecord``); like those of
other formats they are read in upper or lower case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from yt8m_spark.core.statistic_names import check_names
from yt8m_spark.errors import InputError
from yt8m_spark.formats.record_types import KEYS, Keys
from yt8m_spark.spark.encodings import check_codebook_option

__all__ = ["CORRUPT_RECORD", "LEVELS", "MODES", "ReadOptions", "parse_features", "read_options"]

LEVELS = ("auto", "frame", "video")
MODES = ("failfast", "dropmalformed", "permissive")
CHECKSUMS = ("all", "lengths")
CORRUPT_RECORD = "_corrupt_record"

_NAMES = (
    "path",
    "level",
    "mode",
    "vocabulary",
    "features",
    "idKey",
    "labelsKey",
    "columnNameOfCorruptRecord",
    "checksums",
    "partitionBytes",
    "statistics",
    "pca",
    "unbiased",
    "codebook",
)
# The release's frame-level shards are 400 MB and have a task each; larger ones are big.
_PARTITION_BYTES = 512 << 20
_FEATURE = re.compile(r"\s*([^:,\s]+)\s*(?::\s*([1-9][0-9]{0,6}))?\s*")


class ReadOptions(NamedTuple):
    """How to read shards."""

    path: str
    level: str = "auto"
    mode: str = "failfast"
    vocabulary: str | None = None  # CSV of the entities that labels may name
    features: dict[str, int] | None = None  # names and widths (0: as found); None: all there are
    keys: Keys = KEYS
    corrupt_record: str = CORRUPT_RECORD
    checksums: str = "all"  # or "lengths": those of the data only where frames are read
    partition_bytes: int = _PARTITION_BYTES
    statistics: tuple[str, ...] = ()  # of the frames, in their stead; none: the frames
    pca: str | None = None  # path of the frame PCA, for statistics in ReLU space
    unbiased: bool = False  # statistics without the bias of the release's decoder
    codebook: str | None = None  # folder of codebooks of frames, for "vlad" and "fisher"


def read_options(given: Mapping[str, str]) -> ReadOptions:
    """Check the options of a reader.

    Raises
    ------
    InputError
        If one is unknown (``vocabluary`` would check nothing, silently) or has no such value.
    """
    if "paths" in given:
        raise InputError("more than one path to load", expected="one, or a pattern {a,b}")
    known = {name.lower(): name for name in _NAMES}
    unknown = [name for name in given if name.lower() not in known and not name.startswith("_")]
    if unknown:
        raise InputError(
            f"unknown option {unknown[0]!r} of format yt8m", expected=" or ".join(_NAMES)
        )
    values = {known.get(name.lower(), name): value for name, value in given.items()}
    if "path" not in values:
        raise InputError("no path to load", expected='one path: .load("train*.tfrecord")')
    statistics = _statistics(values)
    return ReadOptions(
        path=values["path"],
        level=_choice(values, "level", LEVELS),
        mode=_choice(values, "mode", MODES, default="failfast"),
        vocabulary=values.get("vocabulary"),
        features=parse_features(values["features"]) if "features" in values else None,
        keys=_keys(values),
        corrupt_record=values.get("columnNameOfCorruptRecord") or CORRUPT_RECORD,
        checksums=_choice(values, "checksums", CHECKSUMS, default="all"),
        partition_bytes=_bytes(values),
        statistics=statistics,
        pca=values.get("pca"),
        unbiased=_choice(values, "unbiased", ("true", "false"), default="false") == "true",
        codebook=values.get("codebook"),
    )


def parse_features(text: str) -> dict[str, int]:
    """Names and widths of ``rgb:1024,audio:128``; a width that is not given is 0.

    Raises
    ------
    InputError
        If ``text`` is no such list or names a feature twice.
    """
    widths: dict[str, int] = {}
    for part in text.split(","):
        match = _FEATURE.fullmatch(part)
        if match is None or match[1] in widths:
            raise InputError(
                "option 'features' is no list of features",
                expected="names, each once, with widths: rgb:1024,audio:128",
                found=text,
            )
        widths[match[1]] = int(match[2] or 0)
    return widths


def _choice(
    values: Mapping[str, str], name: str, choices: tuple[str, ...], default: str = "auto"
) -> str:
    value = values.get(name, default).lower()
    if value not in choices:
        raise InputError(f"unknown {name}", expected=" or ".join(choices), found=values[name])
    return value


def _keys(values: Mapping[str, str]) -> Keys:
    ids = (values["idKey"],) if values.get("idKey") else KEYS.ids
    return Keys(ids, values.get("labelsKey") or KEYS.labels)


def _bytes(values: Mapping[str, str]) -> int:
    text = values.get("partitionBytes", str(_PARTITION_BYTES))
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise InputError(
            "option 'partitionBytes' is no size", expected="bytes, at least 1", found=text
        )
    return int(text)


def _statistics(values: Mapping[str, str]) -> tuple[str, ...]:
    names = tuple(part.strip() for part in values.get("statistics", "").split(",") if part.strip())
    if "pca" in values and not names:
        raise InputError("option 'pca' goes with 'statistics'", found="pca alone")
    if "codebook" in values and not names:
        raise InputError("option 'codebook' goes with 'statistics'", found="codebook alone")
    try:
        if names:
            check_names(names)
            check_codebook_option(names, values.get("codebook"))
    except ValueError as error:
        raise InputError(str(error)) from None
    return names
