"""Copies of training shards on the disk of each machine, where they lie on a network.

A cache folder holds a folder for each set of shards, named by its digest. Each file is copied when
it is first read, by whichever task comes first, so a machine fetches what its tasks read, once.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from yt8m_spark.artifacts import staged_file

__all__ = ["cached_file", "local_cache_for", "prepare_cache"]

_DIGEST = re.compile("[0-9a-f]{64}")

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "glusterfs", "9p", "beegfs"}
_DATABRICKS = ("/Volumes/", "/dbfs/")  # mounts of object storage, not all told of in /proc
_ESCAPED = re.compile(r"\\([0-7]{3})")  # a blank in a path is \040 in /proc/mounts

# A full disk would stop Spark's own shuffles: this much stays free.
_BYTES_LEFT_FREE = 4 << 30
# A set that no task has opened for so long is of a training that is over.
_SECONDS_KEPT = 7 * 24 * 3600


def local_cache_for(folder: str, mounts: str | None = None) -> str | None:
    """Folder on the local disk to cache ``folder`` in; None if that is local already.

    Parameters
    ----------
    folder : str
        Of training shards.
    mounts : str, optional
        What is mounted where, as in /proc/mounts, which is read by default.
    """
    mounts = _mounts() if mounts is None else mounts
    temporary = tempfile.gettempdir()
    if not _is_on_network(folder, mounts) or _is_on_network(temporary, mounts):
        return None
    return str(Path(temporary) / f"yt8m_spark-shards-{os.getuid()}")


def prepare_cache(cache: str, digest: str) -> None:
    """Mark the set ``digest`` as in use; remove those that have not been for a week.

    So a cache holds at most the sets of a week, each no larger than its source, and never takes
    the last 4 GiB of the disk.
    """
    now = time.time()
    try:
        (Path(cache) / digest).mkdir(parents=True, exist_ok=True)
        os.utime(Path(cache) / digest)
        # Sets alone, which are called by their digest: the folder may be anybody's.
        sets = [path for path in Path(cache).iterdir() if _DIGEST.fullmatch(path.name)]
        stale = [path for path in sets if _idle(path, now)]
    except OSError as error:
        _warn_once(cache, str(error))
        return
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)


def cached_file(source: Path, folder: Path, n_bytes: int) -> Path:
    """Copy of ``source`` in ``folder``, made now if there is none; ``source`` if none can be made.

    Tasks that copy the same file at once do so under names of their own, and the last one stays.
    A disk that is full or cannot be written is told of once a process, on stderr; reading goes on
    from the source.

    Parameters
    ----------
    source : Path
        A file of training shards.
    folder : Path
        The set's in the cache.
    n_bytes : int
        Size that the file must have; a copy of another one is made again.
    """
    copy = folder / source.name
    try:
        if copy.stat().st_size == n_bytes:
            return copy
    except OSError:
        pass
    if not source.exists():
        return source  # reading it will tell
    try:
        _copy(source, copy, n_bytes)
    except OSError as error:
        _warn_once(str(folder.parent), error.strerror or str(error))
        return source
    return copy


def _copy(source: Path, copy: Path, n_bytes: int) -> None:
    """Copy a file whole or not at all, if the disk has room."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(copy.parent).free < n_bytes + _BYTES_LEFT_FREE:
        raise OSError(0, "the disk is nearly full")
    with staged_file(copy) as temporary:
        shutil.copyfile(source, temporary)


@lru_cache(maxsize=64)
def _warn_once(cache: str, reason: str) -> None:
    print(
        f"training shards are read from where they are, not cached in {cache}: {reason}",
        file=sys.stderr,
    )


def _idle(path: Path, now: float) -> bool:
    try:
        return now - path.stat().st_mtime > _SECONDS_KEPT
    except OSError:
        return False


def _mounts() -> str:
    """Text of /proc/mounts; none where there is no such file."""
    with suppress(OSError):
        return Path("/proc/mounts").read_text()
    return ""


def _is_on_network(folder: str, mounts: str) -> bool:
    """Whether the mount that ``folder`` lies on, the longest, is one of a network."""
    path = os.path.realpath(folder) + "/"
    if path.startswith(_DATABRICKS):
        return True
    longest, found = "", ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = _ESCAPED.sub(lambda code: chr(int(code[1], 8)), fields[1]).rstrip("/") + "/"
        if path.startswith(point) and len(point) >= len(longest):  # a later mount hides an earlier
            longest, found = point, fields[2]
    return found in _NETWORK or found.startswith("fuse.")
