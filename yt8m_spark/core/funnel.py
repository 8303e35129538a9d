"""What a chain of filters leaves after each of them, and why the rest went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["Stage", "add_stages", "funnel_line"]


class Stage(NamedTuple):
    """One filter."""

    name: str
    n_in: int
    n_out: int
    reasons: dict[str, int]  # how many went, by reason, the most frequent first; none of 0


def add_stages(
    funnel: Sequence[Stage], stages: Mapping[str, Mapping[str, int]], *, n_in: int | None = None
) -> list[Stage]:
    """``funnel`` with more stages, each with what it takes out by reason.

    ``n_in`` is what the first stage sees where ``funnel`` is empty.
    """
    grown = list(funnel)
    for name, reasons in stages.items():
        seen = grown[-1].n_out if grown else int(n_in or 0)
        found = {r: n for r, n in sorted(reasons.items(), key=lambda item: -item[1]) if n}
        grown.append(Stage(name, seen, seen - sum(found.values()), found))
    return grown


def funnel_line(funnel: Sequence[Stage]) -> str:
    """Stages to the first that leaves nothing, in a line: ``views 10 to 8 (too_few_views 2)``."""
    told = []
    for stage in funnel:
        why = ", ".join(f"{reason} {n:,}" for reason, n in stage.reasons.items())
        told.append(
            f"{stage.name} {stage.n_in:,} to {stage.n_out:,}" + (f" ({why})" if why else "")
        )
        if not stage.n_out:
            break
    return "; ".join(told)
