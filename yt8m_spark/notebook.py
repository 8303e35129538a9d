"""Run a notebook in Databricks' source format on a plain machine, and show it as a page.

    python -m yt8m_spark.notebook notebooks/03_train_and_compare.py --output page.html \
        --data demo/data --work demo/notebooks

The notebook finds ``spark``, ``dbutils``, ``display`` and ``displayHTML``; each of its widgets has
a flag. ``%pip`` cells are not run. The page holds what Databricks would show, in one file.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import matplotlib.pyplot as plt
from pyspark.sql import SparkSession

from yt8m_spark.artifacts import staged_file
from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.masking import masked
from yt8m_spark.notebook_page import RanCell, notebook_page
from yt8m_spark.notebook_shim import Dbutils, NotebookExit, Shown
from yt8m_spark.notebook_source import Cell, read_cells, widget_names
from yt8m_spark.session import spark_session

__all__ = ["RanNotebook", "main", "run_notebook"]

_IN_WORKER = re.compile(r"^[\w.]+(?:Error|Exception): .+$", re.MULTILINE)


@dataclass(frozen=True)
class RanNotebook:
    """A notebook that has run, to its end or to an error."""

    cells: list[RanCell]
    namespace: dict[str, Any]  # its names and their values
    values: dict[str, str]  # of its widgets
    error: str = ""  # notebook, cell, line and what went wrong
    cause: Exception | None = None

    def page(self, title: str) -> str:
        """Page of it, in one file."""
        values = {name: masked(value) for name, value in self.values.items()}
        return notebook_page(title, self.cells, values)


def run_notebook(path: str, spark: SparkSession, given: Mapping[str, str]) -> RanNotebook:
    """Run the cells of the notebook at ``path`` in order, in one namespace.

    An error in a cell ends it; it is told in the result, with what was shown till then.

    Parameters
    ----------
    path : str
    spark : SparkSession
        Classic or Connect.
    given : mapping of str to str
        Values of widgets; the others have their defaults.

    Raises
    ------
    InputError
        If ``path`` is no notebook in source format.
    """
    plt.switch_backend("agg")  # pictures go to the page, not to a window
    cells, shown, dbutils = read_cells(path), Shown(), Dbutils(given)
    namespace: dict[str, Any] = {
        "__name__": "__main__",
        "spark": spark,
        "dbutils": dbutils,
        "display": shown.display,
        "displayHTML": shown.displayHTML,
    }
    done: list[RanCell] = []
    error, cause = "", None
    with redirect_stdout(shown):
        for place, cell in enumerate(cells):
            began = time.monotonic()
            _tell(cell, len(cells))
            try:
                if cell.kind == "code":
                    _run(cell, path, namespace, shown)
            except NotebookExit:
                done.append(RanCell(cell, shown.take(), time.monotonic() - began))
                done += [RanCell(left, ran=False) for left in cells[place + 1 :]]
                break
            except Exception as raised:
                cause, error = raised, _told(raised, cell, path)
                done.append(RanCell(cell, shown.take(), error=error))
                done += [RanCell(left, ran=False) for left in cells[place + 1 :]]
                break
            done.append(RanCell(cell, shown.take(), time.monotonic() - began))
    return RanNotebook(done, namespace, dbutils.widgets.getAll(), error, cause)


def _run(cell: Cell, path: str, namespace: dict[str, Any], shown: Shown) -> None:
    """Run one cell; its last expression is shown.

    This is the one place where code of a file is run as such: a notebook that the user names, as
    Databricks or Jupyter would. Lines are those of the file, for what an error tells.
    """
    tree = ast.parse("\n" * (cell.line - 1) + cell.text, filename=path)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with warnings.catch_warnings():
        # plt.show() has no window to open; pictures are taken when the cell is done.
        warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
        exec(compile(tree, path, "exec"), namespace)  # noqa: S102
        if isinstance(last, ast.Expr):
            expression = ast.Expression(last.value)
            shown.last(eval(compile(expression, path, "eval"), namespace))  # noqa: S307


def _told(error: Exception, cell: Cell, path: str) -> str:
    """One line: notebook, cell, line of the file, and the error."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    text = user_error(error)
    if text is None:
        # Of an error in a task the text holds the worker's own, at the end of its trace.
        in_worker = _IN_WORKER.findall(str(error))
        first = next((part for part in str(error).splitlines() if part.strip()), "")
        text = in_worker[-1] if in_worker else f"{type(error).__name__}: {first.strip()}"
    return masked(f"{path}, cell {cell.number}, line {line or cell.line}: {text}")


def _tell(cell: Cell, n_cells: int) -> None:
    if cell.kind == "code":
        head = cell.text.splitlines()[0][:70]
        print(f"cell {cell.number} of {n_cells}: {head}", file=sys.stderr, flush=True)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help")


def _options(argv: Sequence[str]) -> tuple[str, str, dict[str, str]]:
    """Notebook, page and values of widgets."""
    parser = _Parser(
        prog="python -m yt8m_spark.notebook",
        description="Run a notebook of Databricks on this machine; what it shows becomes a page.",
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("notebook", help="file in Databricks' source format")
    parser.add_argument("--output", help="page to write (default: NOTEBOOK.html here)")
    help_wanted = {"-h", "--help"} & set(argv)
    notebook = next((text for text in argv if text.endswith(".py")), None)
    names = []
    if notebook is not None:
        try:
            names = widget_names(read_cells(notebook))
        except SyntaxError as error:
            raise InputError(
                "cell is no Python", where=f"{notebook}, line {error.lineno}", found=error.msg
            ) from None
    if {"output", "help"} & set(names):
        raise InputError("a widget has the name of an option: output or help", where=str(notebook))
    for name in names:
        parser.add_argument(f"--{name}", dest=f"widget {name}", metavar="VALUE", help="widget")
    if help_wanted:
        parser.print_help()
        sys.exit(0)
    given = vars(parser.parse_args(list(argv)))
    path = given["notebook"]
    values = {name: value for name in names if (value := given[f"widget {name}"]) is not None}
    return path, given["output"] or f"{Path(path).stem}.html", values


def main(argv: Sequence[str] | None = None) -> None:
    """Run the notebook of the command line, write its page, leave by ``sys.exit``.

    Exit status as of a job: 2 for input at fault, 1 for another error in the notebook.
    """
    try:
        path, output, values = _options(sys.argv[1:] if argv is None else argv)
        read_cells(path)  # before a session takes its seconds to start
        with spark_session(Path(path).stem) as spark:
            ran = run_notebook(path, spark, values)
        with staged_file(Path(output)) as temporary:
            temporary.write_text(ran.page(Path(path).stem), encoding="utf-8")
    except InputError as error:
        print(masked(f"notebook: error: {error}"), file=sys.stderr)
        sys.exit(2)
    print(output)
    if ran.cause is not None:
        print(f"notebook: error: {ran.error}", file=sys.stderr)
        sys.exit(1 if user_error(ran.cause) is None else 2)
    sys.exit(0)


if __name__ == "__main__":
    main()
