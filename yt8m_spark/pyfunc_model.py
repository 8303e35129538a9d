"""The code of a logged model, which MLflow runs to load it: models from code, no pickle.

It is copied into the model. The package is the one that is installed; where none is, as in an
environment that was made from the model's requirements, the copy in the model.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel  # type: ignore[attr-defined]

__all__ = ["EntityModel"]


class EntityModel(PythonModel):
    """What MLflow calls; `yt8m_spark.logged_tagger` finds what does the work."""

    def load_context(self, context: Any) -> None:
        """Read the model, and what was logged with it."""
        if importlib.util.find_spec("yt8m_spark") is None:
            sys.path.append(context.artifacts["package"])
        from yt8m_spark.logged_tagger import load_logged_tagger

        self._tagger = load_logged_tagger(context.artifacts)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Table of ``entities`` and ``scores``, as ``predict`` of its kind of tagger gives it."""
        return self._tagger.predict(model_input, params)


set_model(EntityModel())
