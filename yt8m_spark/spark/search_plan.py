"""What all blocks of a search have in common, as files that every task reads.

The work folder holds ``search_plan.json``, the figures of each block in ``blocks``, and a folder
for each setting, ``settings/003``, which is the work folder of a training with that setting: its
``plan.json`` and its trained ``blocks``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.core.search import Setting
from yt8m_spark.errors import InputError
from yt8m_spark.spark.plan import Plan, describe_plan, make_task_folders, write_plan

__all__ = ["SearchPlan", "open_search_plan", "progress_of", "read_search_plan", "setting_folder"]

_FILE = "search_plan.json"


class SearchPlan(NamedTuple):
    """The settings to try, and the videos to judge them by."""

    settings: tuple[Setting, ...]  # S
    validation: str  # folder of the validation shards
    validation_digest: str


def open_search_plan(work: str, plan: Plan, search: SearchPlan) -> list[Plan]:
    """Write the plan of a search and of its trainings, each ``plan`` but for its setting.

    Raises
    ------
    InputError
        If ``work`` holds blocks of another search, which would become part of this one's model.
    """
    described = {
        "settings": [setting._asdict() for setting in search.settings],
        "validation": search.validation,
        "validation_digest": search.validation_digest,
        "plan": _as_read(describe_plan(plan)),
    }
    blocks = sorted((Path(work) / "blocks").glob("*.parquet"))
    if blocks and load_json(Path(work) / _FILE) != described:
        raise InputError("blocks are of another search", where=work)
    plans = [
        plan._replace(n_experts=setting.n_experts, options=setting.options(plan.options))
        for setting in search.settings
    ]
    for number, of_setting in enumerate(plans):
        write_plan(setting_folder(work, number), of_setting)
    make_task_folders(work)
    save_json(Path(work) / _FILE, described)
    return plans


def read_search_plan(work: str) -> SearchPlan:
    """Read the plan of the search in the work folder."""
    described = load_json(Path(work) / _FILE)
    settings = tuple(Setting(**setting) for setting in described["settings"])
    return SearchPlan(settings, described["validation"], described["validation_digest"])


def setting_folder(work: str, setting: int) -> str:
    """Work folder of the trainings with one setting."""
    return str(Path(work) / "settings" / f"{setting:03d}")


def progress_of(work: str, block: int, setting: int) -> Path:
    """Where the task of a block keeps how far it has come with a setting."""
    return Path(work) / "progress" / f"block-{block:05d}-{setting:03d}.npz"


def _as_read(described: dict[str, Any]) -> dict[str, Any]:
    """Leave out what may change when a search is gone on with."""
    free = ("cache", "device", "checkpoint_seconds")
    return {name: value for name, value in described.items() if name not in free}
