"""The package's own resources, and pages made of them."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

__all__ = ["page_template", "resource"]


def resource(*path: str) -> str:
    """Text of a file below ``resources``."""
    return files("yt8m_spark").joinpath("resources", *path).read_text("utf-8")


def page_template(*path: str) -> Template:
    """Template of a page, a file below ``resources``.

    The template is ours; every value in it is escaped, names of entities, runs and paths too. A
    value that it wants and is not given is an error.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(resource(*path))
