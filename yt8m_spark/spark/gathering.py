"""Make a model of trained blocks, and of another model's entities where it extends one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyspark
from numpy.typing import NDArray

from yt8m_spark import __version__
from yt8m_spark.artifacts import save_json
from yt8m_spark.core.losses import LossFamily
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import check_model, model_family, read_description
from yt8m_spark.spark.entity_rows import ENTITY_ROW, write_rows
from yt8m_spark.spark.plan import Plan, block_file
from yt8m_spark.spark.shards import ShardSet

__all__ = ["check_extensible", "gather_model", "mean_losses"]


def check_extensible(
    model: str, family: LossFamily, n_features: int, description: Mapping[str, object]
) -> None:
    """Refuse a model that cannot be gone on from, or extended, by a training of ``family``.

    Raises
    ------
    InputError
        If it is of another family, feature width or whitening.
    """
    described = read_description(model)
    check_model(model)  # its files, all of them
    theirs = model_family(described)
    pairs = [
        ("loss family", theirs.name, family.name),
        ("number of weight vectors", theirs.n_rows, family.n_rows),
        ("feature width", described["n_features"], n_features),
    ]
    frames, expected_frames = described.get("frames"), description.get("frames")
    if frames != expected_frames:
        pairs.append(
            ("kind of input", _frames_or_videos(frames), _frames_or_videos(expected_frames))
        )
    whitening = description.get("whitening")
    if whitening and described.get("whitening"):
        pairs.append(("whitening", str(described["whitening"])[:12], str(whitening)[:12]))
    for what, found, expected in pairs:
        if found != expected:
            raise InputError(
                f"the model to begin with is of another {what}",
                where=model,
                expected=expected,
                found=found,
            )


def _frames_or_videos(frames: object) -> str:
    return "videos" if frames is None else f"frames, {frames}"


def gather_model(
    work: str,
    folder: str,
    plan: Plan,
    shards: ShardSet,
    extends: str | None,
    description: Mapping[str, object],
) -> int:
    """Lay the trained blocks in the model's folder and describe them; number of its entities."""
    target = Path(folder) / "entities"
    target.mkdir(parents=True, exist_ok=True)
    for number in range(plan.n_blocks):
        _link(block_file(work, number), target)
    n_kept = 0 if extends is None else _keep_others(Path(extends), target, plan.entities)
    n_entities = len(plan.entities) + n_kept
    described = {
        "loss": plan.loss,
        "n_experts": plan.n_experts,
        "n_features": shards.n_features,
        "n_entities": n_entities,
        "n_videos": shards.n_videos,
        "n_without_positives": int((plan.n_positives == 0).sum()),
        "options": plan.options.__dict__,
        "initial_model": plan.initial_model,
        "extends": extends,
        "versions": {
            "yt8m_spark": __version__,
            "pyspark": pyspark.__version__,
            "numpy": np.__version__,
        },
        **description,
    }
    save_json(Path(folder) / "model.json", described)
    return n_entities


def mean_losses(model: str) -> list[float]:
    """Mean over the entities that a training trained of their loss after each pass.

    An entity that converged early keeps its last loss; entities kept from another model, and those
    without positives, have no say.
    """
    files = sorted((Path(model) / "entities").glob("block-*.parquet"))
    tables = [pq.read_table(path, columns=["loss_history"]) for path in files]
    rows = [table["loss_history"].to_pylist() for table in tables]
    histories = [history for history in chain.from_iterable(rows) if history]
    n_passes = max(map(len, histories), default=0)
    passes = [[h[min(i, len(h) - 1)] for h in histories] for i in range(n_passes)]
    return [float(np.mean(losses)) for losses in passes]


def _link(source: Path, folder: Path) -> None:
    """Put ``source`` in ``folder`` too; it stays, for --resume, should anything fail from here."""
    try:
        os.link(source, folder / source.name)
    except OSError:  # a file system without links
        shutil.copy2(source, folder / source.name)


def _keep_others(model: Path, target: Path, trained: NDArray[np.int64]) -> int:
    """Copy the rows of ``model`` whose entities are not ``trained``, as they are; how many."""
    n_kept = 0
    for i, path in enumerate(sorted((model / "entities").glob("*.parquet"))):
        rows = _with_status(pq.read_table(path))
        mine = pc.is_in(rows.column("entity"), pa.array(trained, pa.int32()))
        kept = rows.filter(pc.invert(mine))
        if kept.num_rows:
            write_rows(target / f"kept-{i:05d}.parquet", kept)
        n_kept += kept.num_rows
    return n_kept


def _with_status(rows: pa.Table) -> pa.Table:
    """``rows`` in today's schema: models of before have no status."""
    if "status" not in rows.column_names:
        rows = rows.append_column("status", pa.array(["trained"] * rows.num_rows))
    return rows.select(ENTITY_ROW.names).cast(ENTITY_ROW)
