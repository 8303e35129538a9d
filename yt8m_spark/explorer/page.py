"""The explorer (paper, Fig. 1 and 3): one HTML file with its data, styles and scripts in it.

The page asks the network for nothing, so it opens from a file, in MLflow's artifact view (a
sandboxed frame) and in a notebook. Beside it lie the same data as JSON files, for other tools.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from yt8m_spark.explorer.data import Explored, explorer_data
from yt8m_spark.pages import page_template, resource

__all__ = ["PAGE", "embedded_json", "explorer_page", "write_explorer"]

PAGE = "index.html"

# Parts of one script, in an order in which each finds what it needs when it is read.
_SCRIPTS = ("data", "dom", "charts", "search", "home", "entity", "video", "figures", "explorer")
# What could end or confuse a <script> element, or a line of it, as escapes that JSON reads alike.
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}"}


def write_explorer(folder: str, explored: Explored) -> list[str]:
    """Write ``index.html`` and ``data/*.json`` to ``folder``; returns the paths of all files."""
    data = explorer_data(explored)
    page = Path(folder) / PAGE
    (page.parent / "data").mkdir(parents=True, exist_ok=True)
    page.write_text(explorer_page(data), encoding="utf-8")
    paths = [page]
    for name, value in data.items():
        path = page.parent / "data" / f"{name}.json"
        path.write_text(_compact(value) + "\n", encoding="utf-8")
        paths.append(path)
    return [str(path) for path in paths]


def explorer_page(data: Mapping[str, Any]) -> str:
    """HTML of the page that shows ``data``, the four values of `explorer_data`.

    Its Content-Security-Policy lets only its own style and script in, by their digests, and
    nothing over the network.
    """
    style, script = resource("explorer", "explorer.css"), _script()
    return page_template("explorer", "index.html").render(
        title=data["site"]["title"],
        style=Markup(style),  # noqa: S704 - ours
        script=Markup(script),  # noqa: S704 - ours
        style_digest=_digest(style),
        script_digest=_digest(script),
        data={name: embedded_json(value) for name, value in data.items()},
    )


def embedded_json(value: Any) -> Markup:
    """``value`` as JSON that can stand in a ``<script type="application/json">`` element.

    Names are anyone's: ``<``, ``>``, ``&`` and the line ends U+2028 and U+2029 come as escapes,
    so nothing in them ends the element or opens a comment.
    """
    return Markup(_compact(value).translate(_ESCAPES))  # noqa: S704 - escaped above


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _script() -> str:
    parts = "\n".join(resource("explorer", f"{name}.js") for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


def _digest(text: str) -> str:
    """Source of a Content-Security-Policy that lets the inline ``text`` in."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
