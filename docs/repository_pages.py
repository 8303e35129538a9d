"""The pages of the site that stand elsewhere in the repository, and links that lead there.

The front page is README.md; changes, rules, security and licence are the files of those names.
On the site a link to a module leads to its page of the reference, so that one text serves both.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "LICENSE": "license.md",
}
_LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)#\s]+)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages of the repository's root."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if not source.endswith(".md"):
            text = f"# Licence\n\n```text\n{text}\n```\n"
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to pages of the site."""
    here = page.file.src_uri
    # Links are relative to where the text stands in the repository.
    folder = PurePosixPath("." if here in PAGES.values() else "docs") / PurePosixPath(here).parent
    return _LINK.sub(lambda found: _site_link(found.group(1), folder, here), markdown)


def _site_link(link: str, folder: PurePosixPath, here: str) -> str:
    """``link`` of a text in ``folder`` of the repository, as page ``here`` of the site needs it."""
    parts: list[str] = []
    for part in (folder / link).parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    target = "/".join(parts)
    if target in PAGES:
        page = PAGES[target]
    elif target.startswith("docs/"):
        page = target.removeprefix("docs/")
    elif target.startswith("yt8m_spark/") and target.endswith(".py"):
        page = f"reference/{target.removeprefix('yt8m_spark/').removesuffix('.py')}.md"
    else:
        return link
    return "../" * here.count("/") + page
