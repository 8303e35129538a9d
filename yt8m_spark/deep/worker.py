"""One rank of a training, as a program; torchrun, TorchDistributor or a shell may start it.

    torchrun --nproc-per-node 2 yt8m_spark/deep/worker.py work/training.json --resume

An error ends it at once, and the other ranks with it, and is left in ``errors/rank-<r>.json``
beside training.json:

    {"kind": "input", "message": "a line"}      or "other", or "peer": another rank had ended

Exit status 2 for input at fault, else 1. All that is printed goes to stderr.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

# As a script its folder would come first, where files are called like packages of others.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])

from yt8m_spark.artifacts import save_json
from yt8m_spark.errors import InputError

__all__ = ["main"]

_USAGE = "worker.py TRAINING.json [--resume]"
# What gloo, NCCL and the store say when the process at the other end has gone.
_PEER_ENDED = (
    *("closed by peer", "reset by peer", "Broken pipe", "Connection refused"),
    *("remote process exited", "communicator was aborted", "ncclRemoteError"),
)


def main(arguments: list[str]) -> int:
    """Train as the rank that the environment names; the exit status."""
    files = [name for name in arguments if name != "--resume"]
    if len(files) != 1:
        print(f"usage: {_USAGE}", file=sys.stderr)
        return 2
    told = Path(files[0]).parent / "errors" / f"rank-{os.environ.get('RANK') or 0}.json"
    try:
        told.unlink(missing_ok=True)
        _train(files[0], resume="--resume" in arguments)
    except InputError as error:
        print(f"{told.stem}: error: {error}", file=sys.stderr)
        save_json(told, {"kind": "input", "message": str(error)})
        return 2
    except Exception as error:
        kind = _kind(error)
        if kind != "peer":  # else the rank that ended first has more to tell
            traceback.print_exc()
        save_json(told, {"kind": kind, "message": _line(error)})
        return 1
    return 0


def _train(path: str, *, resume: bool) -> None:
    # Imported here: what is missing or damaged of torch shall be told as any error is.
    from yt8m_spark.deep.fit import train
    from yt8m_spark.deep.training import load_training

    train(load_training(path), resume=resume)


def _kind(error: Exception) -> str:
    """Whether the error is this rank's own."""
    return "peer" if any(phrase in str(error) for phrase in _PEER_ENDED) else "other"


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _end(status: int) -> None:
    """End the process here and now.

    Python's own end would wait for readers, and NCCL's for ranks that are gone.
    """
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # NCCL and others print to it
    # DDP warns of a setting that `deep.learner` needs; read when torch is loaded.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    exit_status = main(sys.argv[1:])
    if exit_status:
        _end(exit_status)
