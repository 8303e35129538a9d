"""Build the wheel for Databricks: the same files, without PySpark among what it asks for.

A runtime brings a PySpark of its own, made for it; one from PyPI beside it would stop a session of
serverless compute. Needs the packages build and wheel. Run by `databricks bundle deploy`:

    python databricks/build_wheel.py        writes dist/databricks/yt8m_spark-*.whl
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
OUTPUT = PROJECT / "dist" / "databricks"


def main() -> None:
    """Build, and put the wheel where databricks.yml looks for it."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    shutil.rmtree(PROJECT / "build", ignore_errors=True)  # it may hold modules that are gone
    with tempfile.TemporaryDirectory() as folder:
        _run("build", "--wheel", "--outdir", folder, str(PROJECT))
        print(without_spark(next(Path(folder).glob("*.whl")), OUTPUT))


def without_spark(wheel: Path, folder: Path) -> Path:
    """Write ``wheel`` to ``folder`` under its name, without its requirement of PySpark."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        _run("wheel", "unpack", "--dest", name, str(wheel))
        [unpacked] = Path(name).iterdir()
        [metadata] = unpacked.glob("*.dist-info/METADATA")
        lines = metadata.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("Requires-Dist: pyspark")]
        if len(kept) == len(lines):
            raise SystemExit(f"{wheel.name} asks for no pyspark: nothing to leave out")
        metadata.write_text("".join(kept), encoding="utf-8")
        _run("wheel", "pack", "--dest-dir", str(folder), str(unpacked))
    return folder / wheel.name


def _run(module: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"python -m {module} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
