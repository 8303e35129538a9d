"""The reference, made from docstrings: a page for each job and for each module of the package."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from yt8m_spark.config import Option, list_options

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "yt8m_spark"
GROUPS = {  # folder: what it holds, in the order of the reading
    "core": "The paper in NumPy, one section a file",
    "formats": "Bytes to records and back",
    "spark": "DataFrames in, DataFrames or fitted values out",
    "deep": "Networks of frames in torch",
    "video": "Media to features",
    "comparison": "Runs side by side",
    "explorer": "The page to look around in",
    "": "Everything else: notebooks' stages, sessions, tracking, reports",
}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages of the reference."""
    jobs = sorted((ROOT / "jobs").glob("*.py"))
    modules = {group: _modules(PACKAGE / group) for group in GROUPS}
    pages = {f"reference/jobs/{path.stem}.md": job_page(path) for path in jobs}
    for paths in modules.values():
        pages |= {_page_of(path): module_page(path) for path in paths}
    pages["reference/index.md"] = index_page(jobs, modules)
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def job_page(path: Path) -> str:
    """The docstring of a job, and a table of its options."""
    rows = [_row(known) for known in list_options(config_type(path))]
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return "\n".join(
        [
            f"# {path.name}",
            "",
            "```text",
            docstring,
            "```",
            "",
            "| option | takes | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            "All of them are keys of a TOML file, too (`--config FILE.toml`); flags win.",
            "",
        ]
    )


def config_type(path: Path) -> type[Any]:
    """The dataclass of options that the job in ``path`` hands to `run_job`; it is not run."""
    name = f"job_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    found: type[Any] = getattr(module, _config_name(path))
    return found


def _config_name(path: Path) -> str:
    """What the call of `run_job` in ``path`` names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "run_job":
            return ast.unparse(node.args[1])
    raise ValueError(f"{path} calls no run_job")


def _row(known: Option) -> str:
    default = "**required**" if known.default is None else f"`{known.default}`"
    cells = [f"`{known.flag}`", f"`{known.value}`", default if default != "``" else "", known.help]
    # A literal | would end the cell, < would open a tag.
    return "| " + " | ".join(c.replace("|", "\\|").replace("<", "&lt;") for c in cells) + " |"


def module_page(path: Path) -> str:
    """A page that mkdocstrings fills from the docstrings of a module."""
    name = _module_name(path)
    return f"# {name.removeprefix('yt8m_spark.')}\n\n::: {name}\n"


def index_page(jobs: list[Path], modules: dict[str, list[Path]]) -> str:
    """All jobs and modules with their first lines."""
    lines = ["# Reference", "", "## Jobs", "", "| job | what it does |", "|---|---|"]
    lines += [f"| [{path.stem}](jobs/{path.stem}.md) | {_summary(path)} |" for path in jobs]
    for group, told in GROUPS.items():
        heading = f"`yt8m_spark.{group}`" if group else "`yt8m_spark`"
        lines += ["", f"## {heading}", "", f"{told}.", ""]
        lines += ["| module | what it holds |", "|---|---|"]
        for path in modules[group]:
            page = _page_of(path).removeprefix("reference/")
            lines.append(f"| [{path.stem}]({page}) | {_summary(path)} |")
    return "\n".join(lines) + "\n"


def _modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("__"))


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _page_of(path: Path) -> str:
    return f"reference/{path.relative_to(PACKAGE).with_suffix('.md').as_posix()}"


def _summary(path: Path) -> str:
    """First line of the docstring of a file, which is not run for it."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
