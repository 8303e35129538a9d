"""How a notebook in source format is read, run and shown. No Spark: `spark` is whatever is given.

What the notebooks of this project say is tested in test_all_notebooks.py; the browser's part not.
"""

import builtins
from contextlib import nullcontext
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.notebook import main, run_notebook
from yt8m_spark.notebook_shim import Dbutils, Shown
from yt8m_spark.notebook_source import read_cells, widget_names

HEAD = "# Databricks notebook source\n"
NEXT = "\n# COMMAND ----------\n\n"


@pytest.fixture
def notebook(tmp_path):
    """Write cells as a notebook; gives its path."""

    def write(*cells):
        path = tmp_path / "book.py"
        path.write_text(HEAD + NEXT.join(cells), encoding="utf-8")
        return str(path)

    return write


def line_of(path, text):
    """Number of the line of the file that is ``text``, from 1."""
    return Path(path).read_text(encoding="utf-8").splitlines().index(text) + 1


def texts(ran):
    return ["".join(o.content for o in cell.outputs if o.kind == "text") for cell in ran.cells]


def test_cells_have_their_kind_and_their_line(notebook):
    magic = "# MAGIC %md\n# MAGIC # Title\n# MAGIC\n# MAGIC text"
    path = notebook(magic, "# MAGIC %pip install x\n# MAGIC %restart_python", "\n\na = 1\n")
    cells = read_cells(path)
    assert [cell.kind for cell in cells] == ["markdown", "install", "code"]
    assert cells[0].text == "# Title\n\ntext"
    assert cells[2].text == "a = 1"
    assert cells[2].line == line_of(path, "a = 1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import x\n", "no notebook"),
        ("", "no notebook"),
        (HEAD + "# MAGIC %sql\n# MAGIC select 1\n", "cell 1, line 2, expected Python"),
    ],
)
def test_what_is_no_notebook_is_refused(tmp_path, text, message):
    path = tmp_path / "book.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_cells(str(path))


def test_cells_share_their_names_and_print_in_order(notebook):
    ran = run_notebook(notebook("a = 2", "print(a)\nprint('b')\na + 1"), None, {})
    assert texts(ran) == ["", "2\nb\n3\n"]
    assert ran.error == ""


def test_an_error_names_notebook_cell_and_line(notebook):
    def_cell = "def fail():\n    raise KeyError('gone')"
    path = notebook("print('before')", def_cell, "x = 1\nfail()", "print('after')")
    ran = run_notebook(path, None, {})
    line = line_of(path, "    raise KeyError('gone')")
    assert ran.error == f"{path}, cell 3, line {line}: KeyError: 'gone'"
    assert [cell.ran for cell in ran.cells] == [True, True, True, False]
    assert ran.error.replace("'", "&#39;") in ran.page("book")


def test_neither_the_page_nor_an_error_tells_secrets(notebook, tmp_path, monkeypatch, capsys):
    address = "https://me:hush@host/x?sig=hush"
    path = notebook(
        'dbutils.widgets.text("uri", "")', 'raise ValueError("no " + dbutils.widgets.get("uri"))'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("yt8m_spark.notebook.spark_session", lambda _: nullcontext())
    with pytest.raises(SystemExit):
        main([path, "--uri", address])
    told = capsys.readouterr().err
    assert "https://me:***@host/x?sig=***" in told
    assert "hush" not in told
    assert "hush" not in (tmp_path / "book.html").read_text()


def test_a_widget_called_as_an_option_of_the_runner_is_told(notebook, capsys):
    path = notebook('dbutils.widgets.text("output", "x")')
    with pytest.raises(SystemExit) as ended:
        main([path])
    assert ended.value.code == 2
    assert "a widget has the name of an option" in capsys.readouterr().err


def test_a_sign_that_only_unicode_takes_for_the_end_of_a_line_is_text(notebook):
    (cell,) = read_cells(notebook('a = "one\u2028two"'))
    assert cell.text == 'a = "one\u2028two"'


def test_a_cell_that_is_no_python_names_its_line(notebook):
    path = notebook("a = 1", "b = 2\nc = = 3")
    line = line_of(path, "c = = 3")
    assert f"cell 2, line {line}: SyntaxError" in run_notebook(path, None, {}).error


def test_widgets_take_what_is_given_else_their_default():
    widgets = Dbutils({"a": "given", "c": "y", "d": "x,y"}).widgets
    widgets.text("a", "default", "label")
    widgets.text("b", "default")
    widgets.dropdown("c", "x", ["x", "y"])
    widgets.multiselect("d", "x", ["x", "y"])
    widgets.combobox("e", "other", ["x"])
    assert widgets.getAll() == {"a": "given", "b": "default", "c": "y", "d": "x,y", "e": "other"}
    widgets.remove("a")
    with pytest.raises(InputError, match="no such widget"):
        widgets.get("a")
    widgets.removeAll()
    assert widgets.getAll() == {}


def test_a_choice_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="wrong value of widget 'c', expected one of x, y"):
        Dbutils({"c": "z"}).widgets.dropdown("c", "x", ["x", "y"])


def test_names_of_widgets_are_known_before_a_cell_runs(notebook):
    path = notebook("dbutils.widgets.text('one', '')\ndbutils.widgets.dropdown('two', 'a', ['a'])")
    assert widget_names(read_cells(path)) == ["one", "two"]


def test_tables_show_their_first_rows_and_short_cells():
    shown = Shown()
    lists = [list(range(1000))] + [[1.23456]] * 29
    shown.display(pd.DataFrame({"a": range(30), "b": lists, "c": [b"12345"] * 30}))
    (table,) = shown.take()
    assert table.rows[0] == ["a", "b", "c"]
    assert table.rows[1] == ["0", "[0, 1, 2, 3, … 1,000]", "5 bytes"]
    assert table.rows[2][1] == "[1.235]"
    assert len(table.rows) == 21
    assert table.note == "the first 20 rows"


def test_an_open_picture_is_shown_once(notebook):
    code = "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\nplt.show()"
    ran = run_notebook(notebook(code, "display(figure)", "print('no more')"), None, {})
    kinds = [[output.kind for output in cell.outputs] for cell in ran.cells]
    assert kinds == [["image"], ["image"], ["text"]]
    assert plt.get_fignums() == []


def test_the_page_escapes_all_but_html_that_is_meant(notebook):
    path = notebook(
        "# MAGIC %md\n# MAGIC *em* <script>alert(1)</script>",
        "print('<script>alert(2)</script>')",
        "displayHTML('<script>alert(3)</script>')",
    )
    page = run_notebook(path, None, {}).page("<book>")
    assert "<script>" not in page
    assert '<iframe sandbox="allow-scripts"' in page
    assert "<title>&lt;book&gt;</title>" in page
    assert "<em>em</em>" in page


def test_markdown_is_readable_without_a_library_for_it(notebook, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("markdown_it"):
            raise ImportError(name)
        return real(name, *rest, **more)

    ran = run_notebook(notebook("# MAGIC %md\n# MAGIC ## Title <b>"), None, {})
    monkeypatch.setattr(builtins, "__import__", without)
    assert "## Title &lt;b&gt;" in ran.page("book")


def test_a_notebook_may_end_early(notebook):
    ran = run_notebook(notebook("dbutils.notebook.exit('done')", "print(1)"), None, {})
    assert ran.error == ""
    assert [cell.ran for cell in ran.cells] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nothing", "1"], "unrecognized arguments: --nothing 1"),
        (["--data"], "expected one argument"),
    ],
)
def test_an_unknown_flag_is_told_before_spark_starts(notebook, arguments, message, capsys):
    path = notebook("dbutils.widgets.text('data', '')")
    with pytest.raises(SystemExit) as ended:
        main([path, *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
