"""The classes of a dataset and their numbers: a vocabulary CSV, or a list of names line by line.

Sports-1M's ``labels.txt`` has a name a line, the first of number 0; ActivityNet's has the number, a
tab and the name.
"""

from __future__ import annotations

import numpy as np

from yt8m_spark.errors import InputError
from yt8m_spark.formats.small_text import open_lines
from yt8m_spark.formats.vocabulary import Vocabulary, read_vocabulary

__all__ = ["read_classes"]


def read_classes(path: str) -> Vocabulary:
    """Read the classes in the file ``path``; a name that ends in .csv is a vocabulary's.

    Raises
    ------
    InputError
        If the file cannot be read, has no class or one without a name, or a number or a name comes
        twice: a name that stands for two classes would be told by chance. It names the file and
        the line (from 1).
    """
    if path.lower().endswith(".csv"):
        return read_vocabulary(path)
    complaint = "list of classes cannot be read"
    try:
        with open_lines(path, complaint) as text:
            lines = [line.rstrip("\r\n") for line in text]
    except FileNotFoundError:
        raise InputError("no such list of classes", where=path) from None
    except OSError as error:
        raise InputError(complaint, where=path, found=error) from None
    names: dict[int, str] = {}
    lines_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        entity, name = _class_of(line, number - 1, where)
        if entity in names:
            raise InputError(f"class {entity} comes twice", where=where)
        if name in lines_of:
            raise InputError(
                f"class {name!r} comes twice", where=where, found=f"line {lines_of[name]} as well"
            )
        names[entity], lines_of[name] = name, number
    if not names:
        raise InputError("list of classes is empty", where=path)
    return Vocabulary(np.array(sorted(names), dtype=np.int64), names)


def _class_of(line: str, place: int, where: str) -> tuple[int, str]:
    """Number and name of a class, the number its ``place`` unless the line gives one."""
    first, tab, rest = line.partition("\t")
    if not tab:
        return place, line.strip()
    number = first.strip()
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise InputError("bad class number", where=where, expected="0 or more", found=repr(first))
    if not rest.strip():
        raise InputError("class without a name", where=where, expected="number, tab, name")
    return int(number), rest.strip()
