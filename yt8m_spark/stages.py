"""What every pyspark.ml stage of ours has: parameters, saving and loading, a folder once fitted."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLWritable,
    MLWriter,
)

from yt8m_spark.artifacts import check_output_free, staged_output

__all__ = ["FittedStage", "Stage", "new_folder", "stage_param"]


def stage_param(name: str, doc: str, converter: Any) -> Param[Any]:
    """Declare parameter ``name`` of a stage, as pyspark.ml does it."""
    return Param(Params._dummy(), name, doc, converter)


class StageReader(DefaultParamsReader[Any]):
    """Reads what `StageWriter` wrote; a fitted stage then works from the saved folder."""

    def load(self, path: str) -> Any:
        """Stage in the folder ``path``."""
        stage = super().load(path)
        if isinstance(stage, FittedStage):
            stage._set(path=str(Path(path).resolve() / "fitted"))
        return stage


class StageWriter(MLWriter):
    """Writes parameters as pyspark.ml does, and the folder of a fitted stage beside them.

    pyspark.ml's own writer needs a JVM beside Python to overwrite, which Spark Connect has not.
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def save(self, path: str) -> None:
        """Write to the folder ``path``, whole or not at all.

        Raises
        ------
        InputError
            If ``path`` exists and ``overwrite()`` was not called.
        """
        target = str(Path(path).resolve())
        fitted = [self._stage.folder()] if isinstance(self._stage, FittedStage) else []
        check_output_free(target, overwrite=self.shouldOverwrite, inputs=fitted)
        with staged_output(target) as staged:
            DefaultParamsWriter.saveMetadata(self._stage, staged, self.sparkSession)
            for folder in fitted:
                shutil.copytree(folder, Path(staged) / "fitted")


class Stage(Params, MLWritable, MLReadable[Any]):
    """Any stage: parameters that can be saved and loaded."""

    def write(self) -> MLWriter:
        """Writer of this stage."""
        return StageWriter(self)

    @classmethod
    def read(cls) -> Any:
        """Reader of stages of this class."""
        return StageReader(cls)  # type: ignore[arg-type]

    def set_given(self, values: Mapping[str, Any]) -> None:
        """Set the parameters that were given; None keeps the default."""
        self._set(**{name: value for name, value in values.items() if value is not None})

    def value(self, name: str) -> Any:
        """Value of parameter ``name``; None if it has none."""
        param = self.getParam(name)
        return self.getOrDefault(param) if self.isDefined(param) else None


class FittedStage(Stage):
    """A fitted stage, whose values are in a folder."""

    path = stage_param(
        "path", "folder of the fitted values, seen by all tasks", TypeConverters.toString
    )

    def folder(self) -> str:
        """Folder of the fitted values."""
        return str(self.value("path"))


def new_folder(work_dir: str | None) -> str:
    """Name of a folder that is not there yet."""
    parent = Path(work_dir).resolve() if work_dir else _temporary_folder()
    parent.mkdir(parents=True, exist_ok=True)
    return str(parent / uuid.uuid4().hex)


@lru_cache(maxsize=1)
def _temporary_folder() -> Path:
    """A folder of this process, removed when it ends: DataFrames may outlive their model."""
    folder = tempfile.mkdtemp(prefix="yt8m_spark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
