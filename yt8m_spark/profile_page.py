"""A profile as one HTML page with its pictures in it, to be sent around or opened in MLflow."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc

from yt8m_spark.pages import page_template
from yt8m_spark.profile_report import profile_warnings, split_rows
from yt8m_spark.spark.profile import Profile

__all__ = ["profile_page"]

_SHOWN = 20  # entities of a table
_NOTES = {
    "frequency": "Each line has the entities by their number of videos, most frequent first. "
    "A straight line of slope -1 is Zipf's law (paper, Fig. 5).",
    "verticals": "An entity counts in each of its verticals, a video in each vertical of its "
    "labels (paper, Fig. 6).",
    "lengths": "One frame is one second.",
    "labels": "Different entities of a video.",
}


class Table(NamedTuple):
    """A table of the page."""

    title: str
    note: str
    rows: list[list[str]]  # the first is the head
    n_texts: int = 1  # columns of text, the first ones; others are numbers


class Plot(NamedTuple):
    """A picture of the page."""

    title: str
    note: str
    data: str  # PNG in base64


def profile_page(profile: Profile, plots: Mapping[str, str], inputs: Mapping[str, str]) -> str:
    """HTML of ``profile``.

    Parameters
    ----------
    profile : Profile
    plots : mapping of str to str
        Titles of pictures by the paths of their PNG files, which become part of the page.
    inputs : mapping of str to str
        What was read, by option.
    """
    return page_template("profile.html").render(
        title="Profile of a data set",
        inputs=inputs,
        warnings=profile_warnings(profile),
        split_tables=[
            Table("Splits", "", split_rows(profile)),
            Table("Ids in two splits", "", _overlaps(profile), 2),
        ],
        entity_tables=_entity_tables(profile),
        plots=[_plot(path, title) for path, title in plots.items()],
    )


def _plot(path: str, title: str) -> Plot:
    data = base64.b64encode(Path(path).read_bytes()).decode("ascii")
    return Plot(title, _NOTES.get(Path(path).stem, ""), data)


def _entity_tables(profile: Profile) -> list[Table]:
    tables = []
    if profile.labelled_splits:
        note = "All of them are in entities.parquet."
        n_texts = 3 if profile.verticals else 2
        tables.append(Table("Most frequent entities", note, _frequent(profile, n_texts), n_texts))
    for split, compared in profile.vocabulary.items():
        if compared.worst:
            note = (
                "Expected are the vocabulary's counts, scaled to the labels of the split; "
                "deviations are in standard deviations of a Poisson count."
            )
            rows = [["entity", "name", "videos", "expected", "deviation"]]
            rows += [
                [str(w.entity), w.name, f"{w.n_videos:,}", f"{w.expected:,.1f}", _sd(w.deviation)]
                for w in compared.worst
            ]
            tables.append(Table(f"Farthest from the vocabulary: {split}", note, rows, 2))
    return tables


def _overlaps(profile: Profile) -> list[list[str]]:
    rows = [["splits", "the first of them", "ids"]]
    for overlap in profile.overlaps:
        examples = ", ".join(overlap.examples)
        rows.append([" and ".join(overlap.splits), examples or "–", f"{overlap.n_ids:,}"])
    return rows


def _frequent(profile: Profile, n_texts: int) -> list[list[str]]:
    """Entities with the most videos in the first split that has labels."""
    split = profile.labelled_splits[0]
    keys = [(f"n_{split}", "descending"), ("entity", "ascending")]
    order = pc.sort_indices(profile.entities, sort_keys=keys)[:_SHOWN]
    rows = [[*["entity", "name", "vertical"][:n_texts], *profile.splits, "vocabulary"]]
    for row in profile.entities.take(order).to_pylist():
        counts = [f"{row[f'n_{name}']:,}" for name in profile.splits]
        known = row["vocabulary_count"]
        of_vocabulary = "–" if known is None else f"{known:,}"
        texts = [str(row["entity"]), row["name"] or "–", row["vertical"] or "–"]
        rows.append([*texts[:n_texts], *counts, of_vocabulary])
    return rows


def _sd(value: float) -> str:
    return f"{value:+.1f}"
