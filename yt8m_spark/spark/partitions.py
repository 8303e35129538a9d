"""Which task reads what: a shard each, big ones in ranges, many small ones together."""

from __future__ import annotations

from collections.abc import Sequence

from yt8m_spark.formats.ranges import record_ranges
from yt8m_spark.spark.records import Piece
from yt8m_spark.spark.storage import ShardFile, is_remote, open_file

__all__ = ["Pieces", "plan_partitions"]

Pieces = tuple[Piece, ...]

# A task costs about a tenth of a second, so more of them than this share shards between them.
_ENOUGH_TASKS = 256
# Finding the ranges of a shard reads 12 bytes a record, which is cheap for a few shards on a local
# disk. With more shards than this there is work for all tasks without.
_FEW_SHARDS = 32


def plan_partitions(files: Sequence[ShardFile], partition_bytes: int) -> list[Pieces]:
    """Pieces of ``files`` that each task reads, in order; every record in one piece.

    One task a shard, but: of a few shards on a local disk, those of more than ``partition_bytes``
    (plain, not gzip'ed) are cut into ranges of records of about that size; and where there are
    more than 256 shards, neighbours share a task, up to ``partition_bytes`` together.
    """
    if len(files) > _ENOUGH_TASKS:
        return _packed(files, partition_bytes)
    if len(files) > _FEW_SHARDS:
        return [(_whole(file),) for file in files]
    return [(piece,) for file in files for piece in _cut(file, partition_bytes)]


def _cut(file: ShardFile, partition_bytes: int) -> list[Piece]:
    """Ranges of one shard; itself if it is small or far away."""
    if file.size <= partition_bytes or is_remote(file.path):
        return [_whole(file)]
    with open_file(file.path) as opened:
        ranges = record_ranges(opened, file.size, partition_bytes)
    return [Piece(file.path, *one, size=file.size) for one in ranges]


def _whole(file: ShardFile) -> Piece:
    return Piece(file.path, size=file.size or None)  # 0: storage that does not tell


def _packed(files: Sequence[ShardFile], partition_bytes: int) -> list[Pieces]:
    most = -(-len(files) // _ENOUGH_TASKS)
    packs: list[list[Piece]] = []
    n_bytes = 0
    for file in files:
        if not packs or len(packs[-1]) == most or n_bytes + file.size > partition_bytes:
            packs.append([])
            n_bytes = 0
        packs[-1].append(_whole(file))
        n_bytes += file.size
    return [tuple(pack) for pack in packs]
