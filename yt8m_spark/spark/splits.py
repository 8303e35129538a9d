"""Which split of a data set an input is, told by the names of its shards."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from yt8m_spark.core.split_hash import SPLITS

__all__ = ["OTHER_SPLIT", "SPLITS", "Source", "split_of"]

OTHER_SPLIT = "all"  # of shards with other names

_NAMED = re.compile("|".join(SPLITS))


class Source(NamedTuple):
    """A table or a pattern of shards."""

    path: str
    split: str | None = None  # of all its videos; None: the names of their shards tell it


def split_of(shard: str | None) -> str:
    """Split of a shard by its name: ``train0093.tfrecord`` and ``trainpj.tfrecord`` are of Train.

    Names that start with none of "train", "validate", "test" are of the split "all".
    """
    found = _NAMED.match(os.path.basename(shard or ""))
    return found[0] if found else OTHER_SPLIT
