"""The hierarchy of entity types (paper §3.1): what lies below a type, and verticals from above.

A type may have several parents. The tree is that of a curated list, up to about 100,000 types: it
fits the driver, at some 500 bytes a type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["TypeTree", "build_type_tree", "nearest_verticals", "types_below"]

_SHOWN = 8  # types of a cycle in an error, at either end


class TypeTree(NamedTuple):
    """Types without a cycle."""

    parents: dict[str, tuple[str, ...]]  # of every type, parents before their children
    verticals: dict[str, str]  # only of types that carry one


def build_type_tree(rows: Iterable[tuple[str, str, str]]) -> TypeTree:
    """Tree of rows ``type, parent, vertical``; a type may have several, one for each parent.

    Parameters
    ----------
    rows : iterable of (str, str, str)
        The parent is empty for a root, the vertical for a type that carries none.

    Raises
    ------
    ValueError
        If there are no rows, a parent has no row of its own, a type has two verticals, or types
        lie below themselves; the error shows the cycle. A parent with a slip of the pen would
        silently take all below it out of the reach of a list.
    """
    parents: dict[str, dict[str, None]] = {}
    verticals: dict[str, str] = {}
    for name, parent, vertical in rows:
        above = parents.setdefault(name, {})
        if parent:
            above[parent] = None
        if vertical and verticals.setdefault(name, vertical) != vertical:
            raise ValueError(
                f"type {name!r} has two verticals, {verticals[name]!r} and {vertical!r}"
            )
    if not parents:
        raise ValueError("no types")
    for name, above in parents.items():
        for parent in above:
            if parent not in parents:
                raise ValueError(f"parent {parent!r} of type {name!r} has no row of its own")
    # Sorted: the order of rows, which a table of several files does not keep, must not matter.
    order = _parents_first({name: tuple(sorted(above)) for name, above in parents.items()})
    return TypeTree(order, verticals)


def types_below(tree: TypeTree, listed: Iterable[str]) -> dict[str, str]:
    """All types that ``listed`` stand for: themselves and all below them.

    Returns
    -------
    dict of str to str
        The listed type by which each is found: itself, or that of its first parent, in the order
        of names, that has one.

    Raises
    ------
    ValueError
        If a listed type is not in the tree. A list that silently missed its mark would let in
        what it should keep out.
    """
    named = dict.fromkeys(listed)
    for name in named:
        if name not in tree.parents:
            raise ValueError(f"type {name!r} is not in the tree of types")
    found: dict[str, str] = {}
    for name, parents in tree.parents.items():
        if name in named:
            found[name] = name
        else:
            above = next((found[parent] for parent in parents if parent in found), None)
            if above is not None:
                found[name] = above
    return found


def nearest_verticals(tree: TypeTree) -> dict[str, dict[str, int]]:
    """Verticals of every type, each with its distance in steps of parents.

    A type that carries a vertical has that one at distance 0. Any other type has the verticals of
    its parents, one step farther; by several ways, the shortest counts. So upwards on each way the
    first type that carries a vertical hides those above it.
    """
    found: dict[str, dict[str, int]] = {}
    for name, parents in tree.parents.items():
        own = tree.verticals.get(name)
        if own is not None:
            found[name] = {own: 0}
            continue
        nearest: dict[str, int] = {}
        for parent in parents:
            for vertical, distance in found[parent].items():
                nearest[vertical] = min(distance + 1, nearest.get(vertical, distance + 1))
        found[name] = nearest
    return found


def _parents_first(parents: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """``parents`` in an order in which no type comes before one of its parents (Kahn's)."""
    waiting = {name: len(above) for name, above in parents.items()}
    children: dict[str, list[str]] = {}
    for name, above in parents.items():
        for parent in above:
            children.setdefault(parent, []).append(name)
    order = [name for name, n in waiting.items() if not n]
    for name in order:  # grows while it is gone through
        for child in children.get(name, ()):
            waiting[child] -= 1
            if not waiting[child]:
                order.append(child)
    if len(order) < len(parents):
        done = set(order)
        raise ValueError(f"types lie below themselves: {_cycle(parents, done)}")
    return {name: parents[name] for name in order}


def _cycle(parents: Mapping[str, tuple[str, ...]], done: set[str]) -> str:
    """One cycle, child < parent < ... < child; each type that is not done has a parent that is not.

    It begins with the least name on it, so that the order of rows does not tell.
    """
    name = min(name for name in parents if name not in done)
    path: dict[str, None] = {}
    while name not in path:
        path[name] = None
        name = min(parent for parent in parents[name] if parent not in done)
    names = list(path)
    cycle = names[names.index(name) :]
    start = cycle.index(min(cycle))
    turned = [*cycle[start:], *cycle[:start], cycle[start]]
    if len(turned) > 2 * _SHOWN:
        turned = [*turned[:_SHOWN], f"... {len(cycle)} types ...", *turned[-_SHOWN:]]
    return " < ".join(turned)
