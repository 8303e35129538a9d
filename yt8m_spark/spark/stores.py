"""Storage that is not mounted: a bucket, container or host, and the files in it.

Object stores and HDFS go through pyarrow, which has them built in; every other scheme through
fsspec, if it is installed. Credentials are those that these libraries find by themselves, as in
the environment; the address of a server that speaks S3's protocol is in AWS_ENDPOINT_URL_S3 or
AWS_ENDPOINT_URL, as for boto.

A key is a path below the bucket, container or host, without a slash in front.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, Any, NamedTuple, Protocol, cast

import pyarrow.fs as pafs

from yt8m_spark.errors import InputError

__all__ = ["ArrowStore", "Entry", "FsspecStore", "Store", "connect", "one_line_errors"]

_S3 = ("s3", "s3a", "s3n")
_ARROW = (*_S3, "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
_CONNECT_SECONDS = 10
_ATTEMPTS = 3
_DEFAULT_REGION = "us-east-1"
_LONGEST_ERROR = 400  # characters; some libraries add pages


class Entry(NamedTuple):
    """A file or folder."""

    key: str
    is_folder: bool
    size: int  # bytes; 0 for a folder

    @property
    def name(self) -> str:
        """Last part of the key."""
        return self.key.rpartition("/")[2]


class Store(Protocol):
    """Files of one bucket, container or host."""

    def find(self, key: str) -> Entry | None:
        """The file or folder ``key``, if there is one."""

    def entries(self, folder: str) -> list[Entry]:
        """What lies right in ``folder``; nothing if it is not there."""

    def open(self, key: str) -> IO[bytes]:
        """A file, not buffered."""


@contextmanager
def one_line_errors(uri: str, what: str) -> Iterator[None]:
    """Tell what storage says in one line; each library behind it has exceptions of its own."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError("no such file", where=uri) from None
    except Exception as error:
        told = str(error).partition(" (Request ID")[0] or type(error).__name__
        raise InputError(f"{what} ({told[:_LONGEST_ERROR]})", where=uri) from None


def connect(scheme: str, host: str, uri: str) -> Store:
    """Storage ``scheme://host``; ``uri`` is what errors name.

    Raises
    ------
    InputError
        If the storage is unknown, or what it needs is not installed.
    """
    with one_line_errors(uri, "cannot be reached"):
        if scheme.lower() in _S3:
            return ArrowStore(_s3(host, _endpoint(), _region()), host, uri)
        if scheme.lower() in _ARROW:
            return ArrowStore(*_arrow(f"{scheme}://{host}"), uri)
        return FsspecStore(f"{scheme}://{host}", uri)


class ArrowStore:
    """A file system of pyarrow; ``root`` is its path of the bucket."""

    def __init__(self, system: pafs.FileSystem, root: str, uri: str) -> None:
        self._system = system
        self._root = root.rstrip("/") + "/"
        self._uri = uri

    def find(self, key: str) -> Entry | None:
        """The file or folder ``key``, if there is one."""
        with one_line_errors(self._uri, "cannot be reached"):
            (info,) = self._system.get_file_info([(self._root + key).rstrip("/") or "/"])
        if info.type == pafs.FileType.NotFound:
            return None
        return self._entry(info)._replace(key=key)  # for "" it is not below the root

    def entries(self, folder: str) -> list[Entry]:
        """What lies right in ``folder``; nothing if it is not there."""
        selector = pafs.FileSelector(
            (self._root + folder).rstrip("/") or "/", allow_not_found=bool(folder)
        )
        with one_line_errors(self._uri, "cannot be listed"):
            return [self._entry(info) for info in self._system.get_file_info(selector)]

    def open(self, key: str) -> IO[bytes]:
        """A file, not buffered."""
        return cast("IO[bytes]", self._system.open_input_file(self._root + key))

    def _entry(self, info: pafs.FileInfo) -> Entry:
        is_folder = info.type == pafs.FileType.Directory
        return Entry(info.path.removeprefix(self._root), is_folder, info.size or 0)


class FsspecStore:
    """A file system of fsspec; ``root`` is the URI in front of the keys."""

    def __init__(self, root: str, uri: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            scheme = root.partition(":")[0]
            raise InputError(
                f"storage {scheme!r} needs the package fsspec", where=uri, expected="it installed"
            ) from None
        self._uri = uri
        self._url_to_fs = url_to_fs
        self._root = root
        self._system, top = url_to_fs(root + "/")
        self._top = top.rstrip("/") + "/"

    def find(self, key: str) -> Entry | None:
        """The file or folder ``key``, if there is one."""
        with one_line_errors(self._uri, "cannot be reached"):
            try:
                return self._entry(self._system.info(self._path(key)))._replace(key=key)
            except FileNotFoundError:
                return None

    def entries(self, folder: str) -> list[Entry]:
        """What lies right in ``folder``; nothing if it is not there."""
        with one_line_errors(self._uri, "cannot be listed"):
            try:
                found = self._system.ls(self._path(folder), detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
        entries = [self._entry(one) for one in found]
        return [entry for entry in entries if entry.key != folder]  # what it gives for a file

    def open(self, key: str) -> IO[bytes]:
        """A file, not buffered."""
        return cast("IO[bytes]", self._system.open(self._path(key), "rb"))

    def _path(self, key: str) -> str:
        path: str = self._url_to_fs(f"{self._root}/{key}")[1]
        return path

    def _entry(self, info: dict[str, Any]) -> Entry:
        key = info["name"].removeprefix(self._top).strip("/")
        return Entry(key, info["type"] == "directory", info["size"] or 0)


@lru_cache(maxsize=16)
def _s3(bucket: str, endpoint: str, region: str) -> pafs.FileSystem:
    """S3, or what speaks its protocol at ``endpoint``; connections are kept and used again."""
    retry = pafs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS)
    if not endpoint:
        region = region or _region_of(bucket)
        return pafs.S3FileSystem(
            region=region, connect_timeout=_CONNECT_SECONDS, retry_strategy=retry
        )
    scheme, _, host = endpoint.rpartition("://")
    return pafs.S3FileSystem(
        endpoint_override=host.rstrip("/"),
        scheme=scheme or "https",
        region=region or _DEFAULT_REGION,
        connect_timeout=_CONNECT_SECONDS,
        retry_strategy=retry,
    )


def _endpoint() -> str:
    """Address of a server other than Amazon's, from the variables that boto has for it."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""


def _region_of(bucket: str) -> str:
    """Region of a bucket of Amazon's; the default where that is not told."""
    try:
        region: str = pafs.resolve_s3_region(bucket)
    except (OSError, ValueError):
        return _DEFAULT_REGION
    return region


@lru_cache(maxsize=16)
def _arrow(root: str) -> tuple[pafs.FileSystem, str]:
    """File system and path of a bucket that is not on S3."""
    # Google's client would try for a quarter of an hour.
    retry = "?retry_limit_seconds=60" if root.lower().startswith(("gs:", "gcs:")) else ""
    system, path = pafs.FileSystem.from_uri(f"{root}/{retry}")
    return system, path
