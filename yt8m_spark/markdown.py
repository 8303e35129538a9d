"""Tables in Markdown, and names of anyone's in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["escaped", "markdown_table", "plain"]

_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~&$])")


def plain(text: str) -> str:
    """``text`` on one line, without characters that a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text)


def escaped(text: str) -> str:
    """Markdown that shows ``text`` as it stands, on one line: no tag, no link, no new cell."""
    return _SIGNS.sub(r"\\\1", plain(text))


def markdown_table(rows: Sequence[Sequence[str]], n_texts: int = 1) -> str:
    """Table of ``rows``, the first its head; ``n_texts`` columns to the left, figures to the right.

    Cells are Markdown: what is not, goes through `escaped` first.
    """
    rule = [":--" if column < n_texts else "--:" for column in range(len(rows[0]))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))
