"""A notebook that has run, as one page: its Markdown, its code and what that showed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from yt8m_spark.notebook_shim import Output
from yt8m_spark.notebook_source import Cell
from yt8m_spark.pages import page_template

__all__ = ["RanCell", "notebook_page"]


class RanCell(NamedTuple):
    """A cell and what it showed."""

    cell: Cell
    outputs: Sequence[Output] = ()
    seconds: float = 0.0
    error: str = ""
    ran: bool = True  # False for what stands after an error


def notebook_page(title: str, cells: Sequence[RanCell], values: dict[str, str]) -> str:
    """HTML of a notebook, which needs no other file.

    Parameters
    ----------
    title : str
    cells : sequence of RanCell
    values : dict of str to str
        Widgets and their values.

    Notes
    -----
    Markdown is rendered where markdown-it-py is installed, and shown as it stands where it is not.
    HTML that the notebook gave to ``displayHTML`` is in a frame that has no part in the page.
    """
    return page_template("notebook.html").render(
        title=title, values=values, cells=[(ran, _markdown(ran.cell)) for ran in cells]
    )


def _markdown(cell: Cell) -> Markup:
    """HTML of a Markdown cell; no tag in it is taken for one."""
    if cell.kind != "markdown":
        return Markup("")
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        return Markup('<pre class="markdown">{}</pre>').format(cell.text)
    rendered = MarkdownIt("commonmark", {"html": False}).enable("table").render(cell.text)
    return Markup(rendered)  # noqa: S704 - MarkdownIt escapes the text; html is off
