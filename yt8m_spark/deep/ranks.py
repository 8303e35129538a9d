"""The processes of one training: which one this is, on which device, and how they speak.

A launcher says it by the variables RANK, WORLD_SIZE, LOCAL_RANK and MASTER_* (torchrun and
TorchDistributor do); without them there is one process.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist

from yt8m_spark.errors import InputError
from yt8m_spark.file_locks import try_lock

__all__ = ["Ranks", "add_over_ranks", "alone_in", "joined_ranks"]

# After this a rank that waits gives up. One whose process has ended is noticed at once.
_TIMEOUT = timedelta(minutes=10)
# Readers of a rank that was killed hold its lock until they notice, after 5 seconds at most.
_LOCK_SECONDS = 10.0


class Ranks(NamedTuple):
    """Place of this process among those of the training."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the rank that writes."""
        return self.rank == 0


@contextmanager
def joined_ranks(device: str) -> Iterator[Ranks]:
    """Join the other ranks, if there are any, for as long as the body runs.

    Parameters
    ----------
    device : str
        "cpu", "cuda", or "auto": GPUs if each rank has its own, else the CPU.

    Raises
    ------
    InputError
        If "cuda" is asked for and this rank has no GPU of its own, or the variables are damaged.
    """
    rank, size, local = _number("RANK", 0), _number("WORLD_SIZE", 1), _number("LOCAL_RANK", 0)
    if not 0 <= rank < size:
        raise InputError("wrong RANK", expected=f"0 to {size - 1}", found=rank)
    has_gpu = _has_gpu(local)
    if device == "cuda" and not has_gpu:
        found = f"{torch.cuda.device_count()} of them"
        expected = "a GPU for each rank, fewer ranks or --device cpu"
        raise InputError("there is no GPU", where=f"rank {rank}", expected=expected, found=found)
    with _group(rank, size, use_gpu=device != "cpu" and has_gpu):
        # One rank without a GPU takes all to the CPU: they could not speak otherwise.
        n_gpus = add_over_ranks(torch.tensor([float(device != "cpu" and has_gpu)]), size)
        on_gpu = int(n_gpus.item()) == size
        if on_gpu:
            torch.cuda.set_device(local)
        yield Ranks(rank, size, torch.device("cuda", local) if on_gpu else torch.device("cpu"))


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold ``training.lock`` in ``folder`` while the body runs; for the first rank.

    Raises
    ------
    InputError
        If another training holds it, as the ranks of a launcher that was killed may: the two
        would write over each other's checkpoints.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "training.lock").open("w") as file:
        last = time.monotonic() + _LOCK_SECONDS
        while not try_lock(file):
            if time.monotonic() >= last:
                raise InputError("another training is running", where=str(folder))
            time.sleep(0.1)
        try:
            yield
        finally:
            with suppress(OSError):
                # Not by closing: readers that have not ended yet have the file open too.
                fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def add_over_ranks(values: torch.Tensor, size: int) -> torch.Tensor:
    """Sum of ``values``, a tensor of the CPU that is changed in place, over all ranks."""
    if size > 1:
        dist.all_reduce(values)
    return values


def _has_gpu(local_rank: int) -> bool:
    """Whether there is a GPU that no other rank of this machine takes."""
    n_here = _number("LOCAL_WORLD_SIZE", local_rank + 1)
    return torch.cuda.is_available() and max(n_here, local_rank + 1) <= torch.cuda.device_count()


@contextmanager
def _group(rank: int, size: int, *, use_gpu: bool) -> Iterator[None]:
    if size == 1:
        yield
        return
    # Gloo beside NCCL: what is no tensor of the GPU, as the losses, need not go through it.
    backend = "cpu:gloo,cuda:nccl" if use_gpu and dist.is_nccl_available() else "gloo"
    dist.init_process_group(backend, rank=rank, world_size=size, timeout=_TIMEOUT)
    try:
        yield
    except BaseException:
        # NCCL would wait here for ranks that are gone; the end of the process frees it.
        if backend == "gloo":
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    try:
        return int(text) if text else default
    except ValueError:
        raise InputError(f"wrong {name}", expected="a whole number", found=text) from None
