"""Whether the MLflow server answers: short waits, and none again soon after it did not.

MLflow itself tries a request seven times, over minutes. A job that logs a hundred figures would
stand still for hours while its server is away.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from yt8m_spark.errors import InputError
from yt8m_spark.experiments import opened_alone
from yt8m_spark.masking import masked

__all__ = ["Server", "UnansweredError", "cannot_open", "reason", "server_at"]

T = TypeVar("T")

# The first use of a new store tells of every table it makes.
logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow").setLevel(logging.WARNING)

_AGAIN = 10.0  # seconds until a server that was away is asked again, at the least
_REST = 10  # and at least so many times what the last try took: waiting stays under a tenth

# Tries, seconds and bars, by the names that MLflow reads at each request; the user's own win.
_FIRST = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
_AGAIN_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
_LARGE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}  # a store may take its time over a file
_ALWAYS = {
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # jobs show bars of their own
}

# What says that the call itself is wrong, whoever answers: a fault of ours, to be seen at once.
_OURS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE")
_DELETED = "must be in the 'active' state"  # a run that somebody deleted has such a code as well

_CAUSE = re.compile(r"Caused by \w+\((.*)\)", re.DOTALL)


_LOCK = threading.RLock()


class UnansweredError(Exception):
    """The server did not answer, or could not do what it was asked; the cause says how."""


class Server:
    """One MLflow store, and whether it answered last time."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.client = MlflowClient(tracking_uri=uri)
        # A job logs from its main thread and from a follower; one lock for all stores, as the
        # limits are variables of the process.
        self.lock = _LOCK
        self.away: str | None = None  # why it did not answer last time
        self._next_try = 0.0

    @property
    def may_answer(self) -> bool:
        """Whether it is worth asking: it answered last time, or long enough ago."""
        return self.away is None or time.monotonic() >= self._next_try

    def ask(
        self, call: Callable[[MlflowClient], T], *, large: bool = False, forgiving: bool = False
    ) -> T:
        """Result of ``call``, which may take some seconds; ``large`` if it sends files.

        With ``forgiving`` a call that is wrong counts as not answered.

        Raises
        ------
        UnansweredError
            If the server cannot be reached, refuses or has lost the run.
        MlflowException
            If the call itself is wrong.
        """
        limits = _ALWAYS | (_FIRST if self.away is None else _AGAIN_LIMITS)
        started = time.monotonic()
        try:
            with self.lock, _limited(limits | (_LARGE if large else {})):
                answer = call(self.client)
        except (MlflowException, OSError, InputError) as error:
            if _is_ours(error) and not forgiving:
                raise
            now = time.monotonic()
            self.away = reason(error)
            self._next_try = now + max(_AGAIN, _REST * (now - started))
            raise UnansweredError(self.away) from error
        self.away = None
        return answer


_servers: dict[str, Server] = {}


def server_at(uri: str) -> Server:
    """Store at ``uri``: one for a process, so that all runs know when it is away.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
    try:
        if uri not in _servers:
            with opened_alone(uri):
                _servers[uri] = Server(uri)
    except Exception as error:  # MLflow's, of the driver of a database, or that there is none
        raise cannot_open(uri, error) from error
    return _servers[uri]


def cannot_open(uri: str, error: Exception) -> InputError:
    """Error that says why the store at ``uri`` cannot be opened."""
    return InputError("cannot open MLflow store", where=masked(uri), found=masked(str(error)))


def reason(error: BaseException) -> str:
    """What is behind ``error``, in a few words and without passwords."""
    deepest: BaseException = error
    while deepest.__cause__ or deepest.__context__:
        deepest = deepest.__cause__ or deepest.__context__ or deepest
        if isinstance(deepest, OSError) and deepest.errno in errno.errorcode:
            return str(deepest.strerror)  # connection refused, timed out
    text = str(error).strip() or repr(error)
    cause = _CAUSE.search(text)
    if cause:  # what urllib3 says last: "Read timed out. (read timeout=10)"
        text = cause.group(1).rpartition(": ")[2].strip("\"') ")
    return masked(text.splitlines()[0])


def _is_ours(error: BaseException) -> bool:
    """Whether the call is at fault, not the server."""
    if isinstance(error, MlflowException):
        return error.error_code in _OURS and _DELETED not in str(error)
    return isinstance(error, InputError)


@contextmanager
def _limited(limits: dict[str, str]) -> Iterator[None]:
    """Have MLflow's requests take no longer than ``limits``; tell of no try that failed."""
    ours = {name: value for name, value in limits.items() if name not in os.environ}
    retries = logging.getLogger("urllib3.connectionpool")
    level = retries.level
    os.environ.update(ours)
    retries.setLevel(logging.ERROR)
    try:
        yield
    finally:
        retries.setLevel(level)
        for name in ours:
            os.environ.pop(name, None)
