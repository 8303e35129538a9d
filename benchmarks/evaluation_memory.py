"""Memory and CPU time of the processes of a Spark session, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cpu_seconds", "peaks"]


def peaks() -> dict[str, int]:
    """MiB that this process, its JVM and its largest Python worker have had at most."""
    found = {"driver": _peak(os.getpid()), "JVM": 0, "worker": 0}
    for pid in _descendants(os.getpid()):
        command = _read(pid, "cmdline").replace("\0", " ")
        if "pyspark.daemon" in command or "pyspark/daemon" in command:
            found["worker"] = max(found["worker"], _peak(pid))
        elif "java" in command.partition(" ")[0]:
            found["JVM"] = max(found["JVM"], _peak(pid))
    return found


def cpu_seconds() -> float:
    """CPU time that this process, its JVM and its Python workers have taken."""
    ticks = 0
    for pid in (os.getpid(), *_descendants(os.getpid())):
        fields = _read(pid, "stat").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:13]))  # in user mode and in the kernel
    return ticks / os.sysconf("SC_CLK_TCK")


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        status = _read(int(path.name), "status")
        parent = status.partition("PPid:")[2].split()
        if parent:
            children.setdefault(int(parent[0]), []).append(int(path.name))
    found, waiting = [], [pid]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def _peak(pid: int) -> int:
    peak = _read(pid, "status").partition("VmHWM:")[2].split()
    return int(peak[0]) >> 10 if peak else 0


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:  # it has ended
        return ""
