"""Do the next reads in a thread while what was read before is at work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import NamedTuple, TypeVar

__all__ = ["read_ahead"]

Item = TypeVar("Item")


class _Failed(NamedTuple):
    """The error that ended the iterable."""

    error: BaseException


class _End:
    """The iterable came to its end."""


def read_ahead(items: Iterable[Item], depth: int = 2) -> Iterator[Item]:
    """``items``, in order, taken by a thread while the consumer is busy.

    NumPy lets go of the interpreter while it reads and copies, so the thread and a consumer that
    multiplies matrices run at once. An error of ``items`` is raised at the consumer, after all
    items before it. The thread ends with ``items``, or when the consumer closes or drops this
    iterator; then it waits for the item under way.

    Parameters
    ----------
    items : iterable
        A generator is closed by the thread, too.
    depth : int
        Most items that are taken or under way before they are asked for, 1 or more; in memory
        there is one more, the consumer's.

    Raises
    ------
    ValueError
        If ``depth`` is below 1.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    return _consume(items, depth)


def _consume(items: Iterable[Item], depth: int) -> Iterator[Item]:
    taken: SimpleQueue[Item | _Failed | _End] = SimpleQueue()
    room, stopped = Semaphore(depth), Event()
    # A daemon: a process that dies of something else must not wait for a slow disk.
    thread = Thread(
        target=_take, args=(items, taken, room, stopped), name="read ahead", daemon=True
    )
    thread.start()
    try:
        while not isinstance(item := taken.get(), _End):
            if isinstance(item, _Failed):
                raise item.error
            room.release()
            yield item
    finally:
        stopped.set()
        room.release()
        thread.join()


def _take(
    items: Iterable[Item],
    taken: SimpleQueue[Item | _Failed | _End],
    room: Semaphore,
    stopped: Event,
) -> None:
    """Put ``items`` into ``taken`` while there is room and the consumer has not stopped."""
    try:
        iterator = iter(items)
        try:
            while room.acquire() and not stopped.is_set():
                taken.put(next(iterator))
        except StopIteration:
            pass
        finally:
            if hasattr(iterator, "close"):
                iterator.close()
    except BaseException as error:  # whatever it is, the consumer has to know
        taken.put(_Failed(error))
    else:
        taken.put(_End())
