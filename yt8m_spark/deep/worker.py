"""One rank of a training, as a program; torchrun, TorchDistributor or a shell may start it.

    torchrun --nproc-per-node 2 yt8m_spark/deep/worker.py work/training.json --resume

An error ends it at once, and the other ranks with it, and is left in ``errors/rank-<r>.json``
beside training.json:

    {"kind": "input", "message": "a line"}      or "other", or "peer": another rank had ended

Exit status 2 for input at fault, else 1. All that is printed goes to stderr. On Linux a rank of a
launcher does not outlive it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

# As a script its folder would come first, where files are called like packages of others.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])

from yt8m_spark.artifacts import save_json
from yt8m_spark.errors import InputError

__all__ = ["end_now", "main"]

_USAGE = "usage: worker.py TRAINING.json [--resume]"
# What gloo, NCCL and the store say when the process at the other end has gone.
_PEER_ENDED = (
    *("closed by peer", "reset by peer", "Broken pipe", "Connection refused"),
    *("remote process exited", "communicator was aborted", "ncclRemoteError"),
)
# A full or read-only disk, no permission: nothing of ours. safetensors has words for it alone.
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG)
_STORAGE_TOLD = ("No space left", "File too large")
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h
_WRAPPER = b"torch_run_process_wrapper"  # PySpark's, which starts torchrun


def main(arguments: list[str]) -> int:
    """Train as the rank that the environment names; the exit status."""
    if {"-h", "--help"} & set(arguments):
        print(_USAGE)
        return 0
    files = [name for name in arguments if name != "--resume"]
    if len(files) != 1:
        print(_USAGE, file=sys.stderr)
        return 2
    told = Path(files[0]).parent / "errors" / f"rank-{os.environ.get('RANK') or 0}.json"
    try:
        told.unlink(missing_ok=True)
        _train(files[0], resume="--resume" in arguments)
    except Exception as error:
        kind, message = _kind(error), _line(error)
        # Where nothing can be written, the end still comes.
        with contextlib.suppress(OSError):
            if kind == "input":
                print(f"{told.stem}: error: {message}", file=sys.stderr)
            elif kind == "other":  # of a peer, the rank that ended first has more to tell
                traceback.print_exc()
        with contextlib.suppress(OSError):
            if Path(files[0]).exists():  # else its folder is no training's
                save_json(told, {"kind": kind, "message": message})
        return 2 if kind == "input" else 1
    return 0


def _train(path: str, *, resume: bool) -> None:
    # Imported here: what is missing or damaged of torch shall be told as any error is.
    from yt8m_spark.deep.fit import train
    from yt8m_spark.deep.training import load_training

    train(load_training(path), resume=resume)


def _kind(error: Exception) -> str:
    """Whether the input is at fault, this rank, or another one."""
    if isinstance(error, InputError) or _of_storage(error):
        return "input"
    return "peer" if any(phrase in str(error) for phrase in _PEER_ENDED) else "other"


def _of_storage(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _STORAGE
    # By its name: the library itself may be what is missing.
    is_file = type(error).__name__ == "SafetensorError"
    return is_file and any(phrase in str(error) for phrase in _STORAGE_TOLD)


def _line(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    if _of_storage(error):
        return f"cannot write or read: {error}"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def end_now(status: int) -> None:
    """End the process here and now.

    Python's own end would wait for readers, and NCCL's for ranks that are gone; and gloo, now and
    then, aborts a process in it that has done all its work.
    """
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def _end_with_launcher() -> None:
    """Have this process killed as soon as torchrun is, or PySpark's wrapper of torchrun.

    It would train on unseen, and a resumed training would share its folder. Without RANK a shell
    or Spark has started it alone, and may end before it.
    """
    if not sys.platform.startswith("linux") or "RANK" not in os.environ:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    launcher = os.getppid()
    with contextlib.suppress(OSError):
        wrapper = _parent_of(launcher)
        if _WRAPPER in Path(f"/proc/{wrapper}/cmdline").read_bytes():
            threading.Thread(target=_watch, args=(launcher, wrapper), daemon=True).start()


def _watch(launcher: int, wrapper: int) -> None:
    """End torchrun, and this process with it, when the wrapper has gone."""
    with contextlib.suppress(OSError):  # torchrun has gone
        while _parent_of(launcher) == wrapper:
            time.sleep(0.5)
        os.kill(launcher, signal.SIGTERM)
    time.sleep(5.0)  # torchrun ends its ranks in order, if it still can
    end_now(1)


def _parent_of(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


if __name__ == "__main__":
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # NCCL and others print to it
    # DDP warns of a setting that `deep.learner` needs; read when torch is loaded.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    _end_with_launcher()
    try:
        exit_status = main(sys.argv[1:])
    except BaseException:  # as Ctrl-C
        with contextlib.suppress(OSError):
            traceback.print_exc()
        exit_status = 1
    end_now(exit_status)
