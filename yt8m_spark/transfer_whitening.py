"""The whitening of a row of a transfer: the source's, or one like it learned on the target.

The two differ in nothing but where they were learned: method, components and ridge of the own one
are the transferred one's, and what is asked for otherwise holds for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame

from yt8m_spark.artifacts import load_json
from yt8m_spark.core.whitening import Whitening
from yt8m_spark.core.whitening_options import WhiteningOptions
from yt8m_spark.errors import InputError
from yt8m_spark.spark.whitening import fit_columns
from yt8m_spark.transfer_rows import feature_set
from yt8m_spark.whitening_files import load_whitening, save_whitening

__all__ = ["SourceWhitening", "WhiteningChoice", "lay_whitening", "read_source_whitenings"]


class WhiteningChoice(NamedTuple):
    """What is asked for; None: as the source's has it, else the usual."""

    n_components: int | None = None
    ridge: float | None = None


class SourceWhitening(NamedTuple):
    """A whitening that was learned on the source."""

    folder: str
    statistics: tuple[str, ...]
    lists: tuple[str, ...]
    columns: list[str]  # of a videos table, side by side


def read_source_whitenings(folders: Sequence[str]) -> dict[str, SourceWhitening]:
    """Whitenings in ``folders`` by the feature set that their columns tell: ``mean_std_top5``.

    Raises
    ------
    InputError
        If one cannot be read, is not of statistics of feature lists, two are of the same, or they
        are of different feature lists.
    """
    found: dict[str, SourceWhitening] = {}
    for folder in folders:
        _, columns = load_whitening(folder)
        parts = feature_set(columns)
        if parts is None:
            expected = "statistics of the same feature lists: mean_rgb, mean_audio"
            raise InputError(
                "not the columns of a row",
                where=folder,
                expected=expected,
                found=", ".join(columns),
            )
        name, source = "_".join(parts[0]), SourceWhitening(folder, *parts, columns)
        if name in found:
            raise InputError(f"two whitenings of {name}", where=folder, found=found[name].folder)
        others = next(iter(found.values()), source)
        if others.lists != source.lists:
            raise InputError(
                "whitenings are of different feature lists",
                where=folder,
                expected=", ".join(others.lists),
                found=", ".join(source.lists),
            )
        found[name] = source
    return found


def lay_whitening(
    folder: str,
    choice: WhiteningChoice,
    source: SourceWhitening | None,
    *,
    own: tuple[DataFrame, Sequence[str]] | None,
    work: str,
    heartbeats: str,
) -> None:
    """Write the whitening of a row to ``folder``.

    Parameters
    ----------
    folder : str
    choice : WhiteningChoice
    source : SourceWhitening, optional
    own : (DataFrame, columns), optional
        Videos of the target and their columns to learn it on; without, ``source`` is taken.
    work, heartbeats : str
        Of `fit_columns`.

    Raises
    ------
    InputError
        As `fit_columns`, or if more components are asked for than ``source`` has.
    """
    transferred = None if source is None else _chosen(source, choice)
    if own is not None:
        videos, columns = own
        options = _like(transferred, choice)
        whitening, fitted = fit_columns(
            videos, columns, **options._asdict(), work=work, heartbeats=heartbeats
        )
        save_whitening(folder, whitening, columns, fitted.widths)
    elif source is not None and transferred is not None:
        widths = load_json(Path(source.folder) / "whitening.json").get("widths", [])
        save_whitening(folder, transferred, source.columns, widths)


def _like(transferred: Whitening | None, choice: WhiteningChoice) -> WhiteningOptions:
    """Options of the own whitening: those of the transferred one, where there is one."""
    if transferred is None:
        usual = WhiteningOptions(choice.n_components)
        return usual if choice.ridge is None else usual._replace(ridge=choice.ridge)
    if transferred.method == "none":
        return WhiteningOptions(method="none", l2_normalize=transferred.l2_normalize)
    return WhiteningOptions(
        transferred.n_components,
        None,
        transferred.ridge,
        transferred.method,
        transferred.l2_normalize,
    )


def _chosen(source: SourceWhitening, choice: WhiteningChoice) -> Whitening:
    """The source's whitening with what is asked for in place of what it has."""
    known, _ = load_whitening(source.folder)
    if known.method == "none":
        return known
    n = choice.n_components or known.n_components
    if n > known.n_components:
        raise InputError(
            "more components than the source's whitening has",
            where=source.folder,
            expected=f"at most {known.n_components}",
            found=n,
        )
    return Whitening(
        known.mean,
        known.components[:n],
        known.eigenvalues[:n],
        known.ridge if choice.ridge is None else choice.ridge,
        known.total_variance,
        method=known.method,
        l2_normalize=known.l2_normalize,
    )
