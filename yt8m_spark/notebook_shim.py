"""What a notebook finds on Databricks: ``dbutils``, ``display`` and ``displayHTML``.

Only what needs no workspace: widgets get their values from the runner, what is displayed is kept
for a page. Names of methods and parameters are Databricks'.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pyspark.sql import DataFrame

from yt8m_spark.errors import InputError

__all__ = ["Dbutils", "NotebookExit", "Output", "Shown", "Widgets"]

_ROWS = 20  # of a table; Databricks shows up to 10,000
_ITEMS = 4  # of a list in a cell
_LONGEST = 120  # characters of a cell
_DPI = 110


class Output(NamedTuple):
    """One thing that a cell shows."""

    kind: Literal["text", "table", "image", "html", "frame"]
    content: str = ""  # text, HTML, or a PNG in base64
    rows: Sequence[Sequence[str]] = ()  # of a table, the first its head
    note: str = ""


class NotebookExit(Exception):  # noqa: N818 - no error: the notebook is done
    """Raised by ``dbutils.notebook.exit``."""


class Widgets:
    """``dbutils.widgets``: each has the value that was given, else its default."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = dict(given)
        self._values: dict[str, str] = {}

    def text(self, name: str, defaultValue: str, label: str | None = None) -> None:
        """Any text."""
        self._values[name] = self._given.get(name, defaultValue)

    def dropdown(
        self,
        name: str,
        defaultValue: str,
        choices: Sequence[str],
        label: str | None = None,
    ) -> None:
        """One of ``choices``."""
        self._choose(name, defaultValue, choices)

    def combobox(
        self,
        name: str,
        defaultValue: str,
        choices: Sequence[str],
        label: str | None = None,
    ) -> None:
        """One of ``choices``, or any other text."""
        self.text(name, defaultValue, label)

    def multiselect(
        self,
        name: str,
        defaultValue: str,
        choices: Sequence[str],
        label: str | None = None,
    ) -> None:
        """Some of ``choices``, with commas between them."""
        self._choose(name, defaultValue, choices, separator=",")

    def get(self, name: str) -> str:
        """Value of a widget."""
        if name not in self._values:
            expected = "one of " + (", ".join(self._values) or "none")
            raise InputError("no such widget", expected=expected, found=name)
        return self._values[name]

    def getAll(self) -> dict[str, str]:  # noqa: N802
        """Values of all widgets, by name."""
        return dict(self._values)

    def remove(self, name: str) -> None:
        """Forget one widget."""
        self._values.pop(name, None)

    def removeAll(self) -> None:  # noqa: N802
        """Forget all widgets."""
        self._values.clear()

    def _choose(
        self, name: str, default: str, choices: Sequence[str], separator: str | None = None
    ) -> None:
        value = self._given.get(name, default)
        for part in value.split(separator) if separator else [value]:
            if part not in choices:
                expected = "one of " + ", ".join(choices)
                raise InputError(f"wrong value of widget {name!r}", expected=expected, found=part)
        self._values[name] = value


class _Library:
    """``dbutils.library``."""

    def restartPython(self) -> None:  # noqa: N802
        """Nothing was installed, so there is nothing to restart for."""


class _Notebook:
    """``dbutils.notebook``."""

    def exit(self, value: str) -> None:
        """End the notebook here."""
        raise NotebookExit(value)


class Dbutils:
    """``dbutils``, as far as it needs no workspace."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.widgets = Widgets(given)
        self.library = _Library()
        self.notebook = _Notebook()


class Shown(io.TextIOBase):
    """What the cell at work shows; a stream for what it prints."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Output] = []

    def take(self) -> list[Output]:
        """What was shown since the last call, with the pictures that pyplot has open."""
        for number in plt.get_fignums():
            self.display(plt.figure(number))
        taken, self.outputs = self.outputs, []
        return taken

    def write(self, text: str) -> int:
        """Text that is printed, after that printed before it."""
        last = self.outputs[-1] if self.outputs else None
        if last is not None and last.kind == "text":
            self.outputs[-1] = Output("text", last.content + text)
        elif text:
            self.outputs.append(Output("text", text))
        return len(text)

    def display(self, value: Any) -> None:
        """Show a table or a picture, as Databricks' ``display`` does.

        Raises
        ------
        TypeError
            For anything else, which a runtime may refuse, too.
        """
        if isinstance(value, DataFrame):
            self.outputs.append(_table(value.limit(_ROWS + 1).toPandas()))
        elif isinstance(value, pd.DataFrame):
            self.outputs.append(_table(value))
        elif isinstance(value, Figure):
            self.outputs.append(Output("image", _png(value)))
            plt.close(value)  # pyplot would show it again
        else:
            raise TypeError(f"display takes a table or a figure, not {type(value).__name__}")

    def displayHTML(self, html: str) -> None:  # noqa: N802
        """Show a page, in a frame of its own."""
        self.outputs.append(Output("frame", html))

    def last(self, value: Any) -> None:
        """Show the value of a cell's last expression: a Spark DataFrame only by its columns."""
        if isinstance(value, pd.DataFrame | Figure):
            self.display(value)
        elif hasattr(value, "_repr_html_") and not isinstance(value, DataFrame):
            self.outputs.append(Output("html", value._repr_html_()))
        elif value is not None:
            self.write(f"{value!r}\n")


def _table(frame: pd.DataFrame) -> Output:
    named = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
    head = named.head(_ROWS)
    rows = [[str(name) for name in head.columns]]
    rows += [[_cell(value) for value in row] for row in head.itertuples(index=False, name=None)]
    note = f"the first {_ROWS} rows" if len(named) > _ROWS else ""
    return Output("table", rows=rows, note=note)


def _cell(value: Any) -> str:
    """``value`` in the few characters of a table's cell."""
    if isinstance(value, (list, tuple, np.ndarray)):
        shown = ", ".join(_cell(item) for item in value[:_ITEMS])
        return f"[{shown}]" if len(value) <= _ITEMS else f"[{shown}, … {len(value):,}]"
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value):,} bytes"
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.4g}"
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return f"{value:,}"
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
