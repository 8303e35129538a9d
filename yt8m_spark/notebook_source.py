"""A notebook in Databricks' source format: cells of a Python file.

The file opens with ``# Databricks notebook source``; ``# COMMAND ----------`` stands between cells.
A cell of lines ``# MAGIC ...`` is one of a magic: ``%md`` (Markdown) or ``%pip`` (what to install).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from yt8m_spark.errors import InputError

__all__ = ["Cell", "read_cells", "widget_names"]

_FIRST = "# Databricks notebook source"
_BETWEEN = "# COMMAND ----------"
_MAGIC = "# MAGIC"
_INSTALLS = ("%pip", "%restart_python")
_WIDGETS = ("text", "dropdown", "combobox", "multiselect")


class Cell(NamedTuple):
    """One cell."""

    number: int  # from 1
    line: int  # of the file, where its text begins, from 1
    kind: Literal["code", "markdown", "install"]
    text: str  # Python, Markdown, or what a magic would install


def read_cells(path: str) -> list[Cell]:
    """Cells of the notebook at ``path``, without empty ones.

    Raises
    ------
    InputError
        If it cannot be read, is no notebook in source format, or has a cell in another language
        than Python and Markdown, which only Databricks runs.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot read notebook", where=path, found=error) from None
    if not lines or lines[0].strip() != _FIRST:
        found = repr(lines[0][:60]) if lines else "nothing"
        raise InputError("no notebook", where=path, expected=repr(_FIRST), found=found)
    parts = list(_parts(lines))
    return [_cell(number, *part, path) for number, part in enumerate(parts, start=1)]


def widget_names(cells: Sequence[Cell]) -> list[str]:
    """Names of the widgets that ``cells`` make, in their order, without running them.

    Raises
    ------
    SyntaxError
        If a cell is no Python.
    """
    calls = (
        node
        for cell in cells
        if cell.kind == "code"
        for node in ast.walk(ast.parse(cell.text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    )
    names = [
        call.args[0].value
        for call in calls
        if ast.unparse(call.func) in {f"dbutils.widgets.{kind}" for kind in _WIDGETS}
        and call.args
        and isinstance(call.args[0], ast.Constant)
    ]
    return list(dict.fromkeys(map(str, names)))


def _parts(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """First line and lines of each cell, no blank ones around them."""
    start = 1
    for end in [*(i for i, line in enumerate(lines) if line.strip() == _BETWEEN), len(lines)]:
        filled = [i for i in range(start, end) if lines[i].strip()]
        if filled:
            yield filled[0] + 1, list(lines[filled[0] : filled[-1] + 1])
        start = end + 1


def _cell(number: int, line: int, lines: list[str], path: str) -> Cell:
    if not all(text.startswith(_MAGIC) or not text.strip() for text in lines):
        return Cell(number, line, "code", "\n".join(lines))
    texts = [text.removeprefix(_MAGIC).removeprefix(" ") for text in lines]
    magic, _, rest = texts[0].partition(" ")
    if magic in ("%md", "%md-sandbox"):
        return Cell(number, line, "markdown", "\n".join([rest, *texts[1:]]).strip())
    if all(text.startswith(_INSTALLS) for text in texts if text.strip()):
        return Cell(number, line, "install", "\n".join(texts))
    expected = "Python, %md, %pip or %restart_python"
    raise InputError(
        "cell that only Databricks runs",
        where=f"{path}, cell {number}, line {line}",
        expected=expected,
        found=magic,
    )
