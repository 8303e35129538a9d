"""A comparison on storage: CSV for programs, Markdown for a text, a page to look at."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from yt8m_spark.comparison import Comparison
from yt8m_spark.comparison.entities import entity_table
from yt8m_spark.comparison.page import comparison_page
from yt8m_spark.comparison.text import comparison_csv, comparison_markdown

__all__ = ["save_comparison"]


def save_comparison(comparison: Comparison, folder: str) -> list[str]:
    """Write ``comparison`` to ``folder``, which is made; names of the files.

    ``per_entity.parquet`` is written only if at least two runs know their entities.
    """
    texts = {
        "comparison.csv": comparison_csv(comparison),
        "comparison.md": comparison_markdown(comparison),
        "comparison.html": comparison_page(comparison),
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (Path(folder) / name).write_text(text, encoding="utf-8")
    if comparison.entities is None:
        return list(texts)
    table = entity_table(comparison.entities, comparison.baseline)
    pq.write_table(table, Path(folder) / "per_entity.parquet")
    return [*texts, "per_entity.parquet"]
