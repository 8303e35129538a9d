"""A profile for people and for other programs: tables, warnings, figures, files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from yt8m_spark.spark.profile import Profile
from yt8m_spark.spark.profile_splits import Distribution, SplitProfile

__all__ = [
    "profile_figures",
    "profile_json",
    "profile_warnings",
    "split_rows",
    "text_table",
]

_FLAGS = {  # how a flag of `spark.video_facts` is told of a number of videos
    "empty": "have no {name}",
    "not_finite": "hold NaN or infinity in {name}",
    "zero": "hold nothing but zeros in {name}",
    "constant": "hold one value or one frame throughout in {name}",
    "no_frames": "have no frames",
    "lists_differ": "have feature lists of different lengths",
}
# Of the released frames, audio often lacks a frame or two that rgb has.
_NO_FAULT = "lists_differ"


def split_rows(profile: Profile) -> list[list[str]]:
    """Table of the splits: a head, then a row a figure with a cell for each split."""
    splits = profile.splits
    rows = [["", *splits]]

    def add(name: str, cells: Iterable[str | None]) -> None:
        texts = ["–" if cell is None else cell for cell in cells]
        if any(text != "–" for text in texts):
            rows.append([name, *texts])

    add("videos", [_count(s.n_videos) for s in splits.values()])
    add("frames", [_count(s.n_frames) for s in splits.values()])
    add("feature bytes", [_bytes(s.n_bytes) for s in splits.values()])
    for part in ("minimum", "quartile_1", "median", "quartile_3", "maximum", "mean"):
        name = part.replace("_", " ")
        add(f"length, {name} (s)", [_part(s.lengths, part) for s in splits.values()])
    for part in ("minimum", "quartile_1", "median", "quartile_3", "maximum", "mean"):
        name = part.replace("_", " ")
        add(f"labels a video, {name}", [_part(s.labels, part) for s in splits.values()])
    add("videos without a label", [_share(s.n_unlabelled, s) for s in splits.values()])
    add("entities with videos", [_count(profile.n_entities[s]) for s in splits])
    add("Zipf slope", [_signed(profile.zipf_slopes.get(s)) for s in splits])
    add("ids more than once", [_count(profile.duplicates[s].n_ids) for s in splits])
    for flag in sorted({flag for s in splits.values() for flag in s.flags}):
        cells = [_share(s.flags.get(flag, 0), s) for s in splits.values()]
        add(f"videos that {_told(flag)}", cells)
    for name, of in _COMPARED.items():
        compared = [profile.vocabulary.get(split) for split in splits]
        add(name, [None if one is None else of(one) for one in compared])
    return rows


def profile_warnings(profile: Profile) -> list[str]:
    """What a user must know before training on the data, the worst first; one line each."""
    return [*_overlap_warnings(profile), *_split_warnings(profile), *_label_warnings(profile)]


def profile_figures(profile: Profile) -> dict[str, float]:
    """Main figures by name; those of a split are ``<split>.<figure>``."""
    figures: dict[str, float] = {
        "n_videos": sum(split.n_videos for split in profile.splits.values()),
        "n_shared_ids": sum(overlap.n_ids for overlap in profile.overlaps),
    }
    for name, split in profile.splits.items():
        of_split: dict[str, float | None] = {
            "n_videos": split.n_videos,
            "n_frames": split.n_frames,
            "mean_labels": split.labels.mean,
            "unlabelled_share": split.unlabelled_share,
            "n_duplicate_ids": profile.duplicates[name].n_ids,
            "n_entities": profile.n_entities[name],
            "zipf_slope": profile.zipf_slopes.get(name),
        }
        for kind in ("zero", "constant", "empty", "not_finite", "no_frames"):
            found = [n for flag, n in split.flags.items() if _kind(flag) == kind]
            of_split[f"n_{kind}"] = sum(found)  # of a video with two such features, both
        if name in profile.vocabulary:
            of_split["rank_correlation"] = profile.vocabulary[name].rank_correlation
            of_split["n_unseen_entities"] = profile.vocabulary[name].n_unseen
            of_split["n_outside_labels"] = profile.vocabulary[name].n_outside_labels
        figures |= {f"{name}.{key}": v for key, v in of_split.items() if v is not None}
    return figures


def profile_json(profile: Profile, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """All but the table of entities as an object for JSON."""
    splits = {}
    for name, split in profile.splits.items():
        more = {
            "unlabelled_share": split.unlabelled_share,
            "n_entities": profile.n_entities[name],
            "zipf_slope": profile.zipf_slopes.get(name),
            "duplicates": asdict(profile.duplicates[name]),
        }
        compared = profile.vocabulary.get(name)
        splits[name] = asdict(split) | more | {"vocabulary": compared and asdict(compared)}
    return {
        "inputs": dict(inputs),
        "splits": splits,
        "overlaps": [asdict(overlap) for overlap in profile.overlaps],
        "vocabulary_slope": profile.vocabulary_slope,
        "verticals": [asdict(vertical) for vertical in profile.verticals],
        "warnings": profile_warnings(profile),
    }


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text, the first row a head, the first column to the left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    ruled = [rows[0], ["-" * width for width in widths], *rows[1:]]
    lines = []
    for first, *others in ruled:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:<{widths[0]}}", *cells]))
    return "\n".join(lines) + "\n"


def _overlap_warnings(profile: Profile) -> Iterator[str]:
    for overlap in profile.overlaps:
        if overlap.n_ids:
            first, second = overlap.splits
            yield (
                f"{_count(overlap.n_ids)} ids are in both {first} and {second}: what is learnt "
                f"from one is tested on the other ({_listed(overlap.examples, overlap.n_ids)})"
            )


def _split_warnings(profile: Profile) -> Iterator[str]:
    for name, split in profile.splits.items():
        twice = profile.duplicates[name]
        if twice.n_ids:
            yield (
                f"{_count(twice.n_ids)} ids of {name} come more than once, "
                f"{_count(twice.n_extra_videos)} videos too many "
                f"({_listed(twice.examples, twice.n_ids)})"
            )
        for flag, n_videos in split.flags.items():
            if _kind(flag) != _NO_FAULT:
                yield f"{_share(n_videos, split)} videos of {name} {_told(flag)}"


def _label_warnings(profile: Profile) -> Iterator[str]:
    for name, split in profile.splits.items():
        # The released Test has no labels at all; a few missing ones are a fault even there.
        if split.n_unlabelled and not (name == "test" and split.n_unlabelled == split.n_videos):
            yield f"{_share(split.n_unlabelled, split)} videos of {name} have no label"
    for name, compared in profile.vocabulary.items():
        if compared.n_outside:
            yield (
                f"{_count(compared.n_outside_labels)} labels of {name} name "
                f"{_count(compared.n_outside)} entities outside the vocabulary "
                f"({_listed(compared.outside, compared.n_outside)})"
            )
        if name == "train" and compared.n_unseen:
            yield f"{_count(compared.n_unseen)} entities of the vocabulary have no video of train"


_COMPARED: dict[str, Any] = {
    "entities never seen": lambda one: _count(one.n_unseen),
    "entities outside vocabulary": lambda one: _count(one.n_outside),
    "labels / vocabulary's": lambda one: one.ratio and f"{one.ratio:.4g}",
    "rank correlation with vocabulary": lambda one: _signed(one.rank_correlation),
}


def _kind(flag: str) -> str:
    """``zero_rgb`` and ``zero_audio`` are of the kind "zero"."""
    return next(kind for kind in _FLAGS if flag == kind or flag.startswith(f"{kind}_"))


def _told(flag: str) -> str:
    kind = _kind(flag)
    return _FLAGS[kind].format(name=flag[len(kind) + 1 :])


def _count(n: int | None) -> str | None:
    return None if n is None else f"{n:,}"


def _share(n: int, split: SplitProfile) -> str:
    """A number of videos, and in percent of all."""
    return f"{n:,} ({100 * n / split.n_videos:.3g} %)" if n else "0"


def _part(distribution: Distribution | None, part: str) -> str | None:
    return None if distribution is None else f"{getattr(distribution, part):,.4g}"


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _bytes(n: int) -> str:
    size = float(n)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.3g} {unit}"


def _listed(examples: Sequence[object], total: int) -> str:
    """First three of ``examples``, and whether there are more."""
    shown = ", ".join(map(str, examples[:3]))
    return f"{shown}, ..." if total > 3 else shown
