"""What a search found: figures of each setting, and of each entity with each.

Axes: S settings, E entities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from yt8m_spark.artifacts import save_json
from yt8m_spark.core.search import Choice, Setting
from yt8m_spark.spark.plan import block_file

__all__ = ["Figures", "SettingFigures", "describe_choice", "read_figures", "save_figures"]


class SettingFigures(NamedTuple):
    """A setting, and how good it is on the validation split."""

    setting: Setting
    validation_map: float  # mean AP over the entities with validation positives
    validation_loss: float  # mean over all entities
    n_entities: int  # that get it

    def figures(self) -> dict[str, float]:
        """All but the setting, by name."""
        return {name: getattr(self, name) for name in self._fields[1:]}


class Figures(NamedTuple):
    """What the tasks found, as `core.search.choose` takes it."""

    average_precision: NDArray[np.float64]  # (S, E)
    loss: NDArray[np.float64]  # (S, E)
    n_positives: NDArray[np.int64]  # (E,)

    def mean_precision(self, of_entity: NDArray[np.int64]) -> float:
        """Mean AP where each entity (E,) has a setting; NaN if its training diverged."""
        places = np.flatnonzero(self.n_positives > 0)
        return float(self.average_precision[of_entity[places], places].mean())

    def mean_loss(self, of_entity: NDArray[np.int64]) -> float:
        """Mean loss where each entity (E,) has a setting; NaN if its training diverged."""
        return float(self.loss[of_entity, np.arange(len(of_entity))].mean())

    def of_settings(self, settings: Sequence[Setting], choice: Choice) -> list[SettingFigures]:
        """Means of each setting, over all entities, and how many get it."""
        counts = np.bincount(choice.of_entity, minlength=len(settings)).tolist()
        everywhere = [np.full(len(self.n_positives), i) for i in range(len(settings))]
        return [
            SettingFigures(setting, self.mean_precision(all_of_it), self.mean_loss(all_of_it), n)
            for setting, all_of_it, n in zip(settings, everywhere, counts, strict=True)
        ]


def read_figures(work: str, n_blocks: int, n_settings: int) -> Figures:
    """Figures of all blocks, 40 bytes an entity and setting."""
    blocks = [pq.read_table(block_file(work, number)) for number in range(n_blocks)]
    rows = pa.concat_tables(blocks).sort_by([("setting", "ascending"), ("entity", "ascending")])
    names = ("validation_ap", "validation_loss", "n_validation_positives")
    columns = (rows[name].to_numpy().reshape(n_settings, -1) for name in names)
    average_precision, loss, n_positives = columns
    return Figures(average_precision, loss, n_positives[0])


def describe_choice(settings: Sequence[Setting], choice: Choice) -> dict[str, Any]:
    """Which settings were chosen, and for how many entities, in JSON's own types."""
    counts = np.bincount(choice.of_entity, minlength=len(settings)).tolist()
    chosen = [
        {"setting": i, **settings[i]._asdict(), "n_entities": n} for i, n in enumerate(counts) if n
    ]
    return {"n_settings": len(settings), "overall": choice.overall, "chosen": chosen}


def save_figures(
    folder: str,
    entities: NDArray[np.int64],
    settings: Sequence[SettingFigures],
    figures: Figures,
    choice: Choice,
    told: Mapping[str, Any],
) -> None:
    """Write search.json, with all that is ``told``, and search.parquet to ``folder``."""
    listed = [_listed(number, row) for number, row in enumerate(settings)]
    save_json(Path(folder) / "search.json", {**told, "settings": listed})
    number = np.repeat(np.arange(len(settings)), len(entities))
    columns: dict[str, Any] = {"entity": np.tile(entities, len(settings)), "setting": number}
    for name in Setting._fields:
        columns[name] = np.array([getattr(row.setting, name) for row in settings])[number]
    columns |= {
        "validation_ap": pa.array(figures.average_precision.ravel(), from_pandas=True),
        "validation_loss": pa.array(figures.loss.ravel(), from_pandas=True),
        "n_validation_positives": np.tile(figures.n_positives, len(settings)),
        "chosen": number == np.tile(choice.of_entity, len(settings)),
    }
    pq.write_table(pa.table(columns), Path(folder) / "search.parquet")


def _listed(number: int, row: SettingFigures) -> dict[str, Any]:
    """A setting in JSON's own types, which have no NaN."""
    known = {name: x if np.isfinite(x) else None for name, x in row.figures().items()}
    return {"setting": number, **row.setting._asdict(), **known}
