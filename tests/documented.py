"""The commands that stand in README.md and docs/, as a reader would type them."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (PROJECT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^\$ (.*(?:(?<=\\)\n.*)*)", re.MULTILINE)
_JOB = re.compile(r"(?:^|/)jobs/(\w+)\.py$")


class Command(NamedTuple):
    """One command, and the line of its page that it begins at."""

    page: str
    line: int
    words: tuple

    @property
    def text(self):
        """The command on one line."""
        return shlex.join(self.words)

    @property
    def job(self):
        """Name and arguments of the job that it runs; None for another program."""
        words = list(self.words)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)  # a variable of the environment
        if words[0] == "yt8m-spark" and len(words) > 1 and not words[1].startswith("-"):
            return words[1], words[2:]
        for i, word in enumerate(words):
            found = _JOB.search(word)
            if found and words[0] in ("python", "spark-submit"):
                return found.group(1), words[i + 1 :]
        return None


def commands_of(page):
    """Commands of a page in their order; comments are left out, continued lines joined."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    return [
        Command(
            page,
            text.count("\n", 0, block.start(1) + found.start()) + 1,
            tuple(shlex.split(found.group(1).replace("\\\n", " "), comments=True)),
        )
        for block in _BLOCK.finditer(text)
        for found in _COMMAND.finditer(block.group(1))
    ]
