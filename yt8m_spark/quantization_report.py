"""What a code costs and saves, as figures, a table and a picture (paper §3.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yt8m_spark.artifacts import save_json, staged_file
from yt8m_spark.core.codebooks import Codebook
from yt8m_spark.core.distortion import Distortion

__all__ = [
    "byte_counts",
    "code_figures",
    "draw_distortions",
    "figures_text",
    "joined",
    "sample_note",
    "write_report",
]

# §3.3: the PCA keeps 1,024 of 2,048 coefficients, so that 4 bytes a coefficient become 1 in 8.
_PCA_RATIO = 2048 / 1024
_FLOAT_BYTES = 4

_COLOURS = {"released": "#b2182b", "unbiased": "#ef8a62", "lloyd_max": "#2166ac"}
_NAMES = {"released": "released", "unbiased": "unbiased", "lloyd_max": "Lloyd-Max"}
_MAX_PANELS = 6
_POINTS = 20  # of fewer features each is a point

_VIDEOS_A_LEVEL = 100  # with fewer a feature's levels fit the sample; ours

Distortions = Mapping[str, Mapping[str, Distortion]]


def joined(distortions: Distortions) -> dict[str, Distortion]:
    """Errors of each code over the features of all columns, from those by column and code."""
    by_code: dict[str, list[Distortion]] = {}
    for codes in distortions.values():
        for code, one in codes.items():
            by_code.setdefault(code, []).append(one)
    return {code: _side_by_side(parts) for code, parts in by_code.items()}


def code_figures(distortions: Mapping[str, Distortion]) -> dict[str, dict[str, float | None]]:
    """For each code: ``mse, snr_db, largest_error, bias`` and ``clipped``, a share in [0, 1].

    A ratio that is infinite, as no error makes it, is None: JSON has no infinity.
    """
    return {
        code: {
            "mse": one.mse,
            "snr_db": one.snr_db if math.isfinite(one.snr_db) else None,
            "largest_error": one.largest_error,
            "bias": one.bias,
            "clipped": one.clipped,
        }
        for code, one in distortions.items()
    }


def byte_counts(distortions: Distortions, table: str, source: str) -> dict[str, float | None]:
    """Bytes of the coded columns before and after, and their ratios.

    ``raw_bytes`` and ``code_bytes`` count coefficients, 4 bytes and 1; ``size_ratio_with_pca``
    counts the PCA before them too, from 2,048 to 1,024 coefficients, which makes the paper's 8.
    ``stored_bytes_before`` and ``stored_bytes`` are what the columns take, compressed, in the
    Parquet files of ``source`` (None if it has none) and of ``table``; ``codebook_bytes`` is what
    reading them back needs besides.
    """
    some = [next(iter(codes.values())) for codes in distortions.values()]
    n_values = sum(one.n_videos * len(one.signal) for one in some)
    raw, coded = n_values * _FLOAT_BYTES, n_values
    return {
        "raw_bytes": raw,
        "code_bytes": coded,
        "size_ratio": raw / coded,
        "size_ratio_with_pca": raw / coded * _PCA_RATIO,
        "stored_bytes_before": _stored_bytes(source, list(distortions)) or None,
        "stored_bytes": _stored_bytes(table, list(distortions)),
        "codebook_bytes": sum(p.stat().st_size for p in Path(table, "_codebook").iterdir()),
    }


def write_report(
    table: str, distortions: Distortions, *, code: str, source: str
) -> dict[str, float]:
    """Write ``_report`` (report.json, distortion.png) into the folder ``table``; return figures.

    Parameters
    ----------
    table : str
        Folder of the coded table, with its ``_codebook``.
    distortions : mapping
        Errors by column and code.
    code : str
        The one that the table is written in.
    source : str
        Where the values came from.
    """
    folder = Path(table) / "_report"
    whole, sizes = joined(distortions), byte_counts(distortions, table, source)
    n_videos = next(iter(whole.values())).n_videos
    report = {
        "code": code,
        "n_videos": n_videos,
        "codes": code_figures(whole),
        "columns": {name: code_figures(codes) for name, codes in distortions.items()},
        "bytes": sizes,
    }
    save_json(folder / "report.json", report)
    with staged_file(folder / "distortion.png") as temporary:
        draw_distortions(distortions, str(temporary))
    figures = {
        f"{name}.{figure}": getattr(one, figure)
        for name, one in whole.items()
        for figure in ("mse", "snr_db")
    }
    known = {name: value for name, value in sizes.items() if value is not None}
    return {"n_videos": n_videos, **known, **figures}


def figures_text(figures: Mapping[str, Mapping[str, float | None]]) -> str:
    """Text table of `code_figures`, a line a code, percent for shares."""
    heads = ("mse", "SNR dB", "largest error", "bias", "clipped %")
    lines = ["  ".join([f"{'code':<10}", *(f"{head:>13}" for head in heads)])]
    lines.append("  ".join(["-" * 10, *("-" * 13 for _ in heads)]))
    for code, row in figures.items():
        snr, clipped = row["snr_db"], 100 * (row["clipped"] or 0)
        cells = [
            f"{row['mse']:13.3e}",
            f"{'inf' if snr is None else format(snr, '.2f'):>13}",
            f"{row['largest_error']:13.3e}",
            f"{row['bias']:+13.1e}",
            f"{clipped:13.4f}",
        ]
        lines.append("  ".join([f"{code:<10}", *cells]))
    return "\n".join(lines) + "\n"


def sample_note(codebooks: Mapping[str, Codebook], n_videos: int) -> str:
    """A line for those who fit levels for each feature on few videos; empty if there are enough.

    The errors reported are then those of the videos fitted on, and lower than on any others: see
    benchmarks/how_much_does_each_code_distort.py.
    """
    n_levels = max((b.n_levels for b in codebooks.values() if b.width is not None), default=0)
    if n_videos >= _VIDEOS_A_LEVEL * n_levels:
        return ""
    return (
        f"note: {n_videos / n_levels:.1f} videos a level; errors of lloyd_max on other videos "
        "will be higher (--scope shared needs fewer videos)\n"
    )


def draw_distortions(distortions: Distortions, path: str) -> None:
    """Draw mean squared error by feature, a panel a column (at most 6) and a line a code, as PNG.

    Features stand in the order of their error under the fitted code.
    """
    shown = list(distortions.items())[:_MAX_PANELS]
    figure = Figure(figsize=(1.2 + 4.8 * len(shown), 4.2), dpi=120, layout="constrained")
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, (column, codes) in zip(axes, shown, strict=True):
        _draw_panel(axis, column, codes)
    axes[0].set_ylabel("mean squared error")
    lines, names = axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside upper left", ncols=len(names), frameon=False)
    figure.savefig(path, format="png")  # the name may be a temporary one


def _draw_panel(axis: Axes, column: str, codes: Mapping[str, Distortion]) -> None:
    errors = {code: one.squared / one.n_videos for code, one in codes.items()}
    order = np.argsort(list(errors.values())[-1], kind="stable")
    width = len(order)
    for code, error in errors.items():
        drawn = np.where(error > 0, error, np.nan)[order]  # a logarithm has no 0
        name, colour = _NAMES.get(code, code), _COLOURS.get(code, "#333333")
        marker = "o" if width < _POINTS else None
        axis.plot(np.arange(1, width + 1), drawn, color=colour, lw=1.2, marker=marker, label=name)
    axis.set_yscale("log")
    axis.set_title(f"{column}, {width:,} feature{'s' if width > 1 else ''}", loc="left")
    axis.set_xlabel("features, by the error of the fitted code")
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.01, y=0.08)


def _side_by_side(parts: Sequence[Distortion]) -> Distortion:
    n_videos, *_ = parts[0]
    signal, squared, signed, largest, n_clipped = (
        np.concatenate(sums) for sums in list(zip(*parts, strict=True))[1:]
    )
    return Distortion(n_videos, signal, squared, signed, largest, n_clipped)


def _stored_bytes(path: str, columns: Sequence[str]) -> int:
    """Compressed bytes of ``columns`` in the Parquet files at ``path``, 0 if there are none."""
    files = [Path(path)] if path.endswith(".parquet") else Path(path).rglob("*.parquet")
    total = 0
    for file in filter(Path.is_file, files):
        described = pq.read_metadata(file)
        for group in map(described.row_group, range(described.num_row_groups)):
            chunks = map(group.column, range(group.num_columns))
            total += sum(
                chunk.total_compressed_size
                for chunk in chunks
                if chunk.path_in_schema.split(".")[0] in columns
            )
    return total
