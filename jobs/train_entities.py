"""Train one logistic, hinge or mixture-of-experts classifier for each entity (paper §4.3).

reads    --input     features table
writes   --output    model folder: entities/*.parquet, model.json
logs     n_entities, n_videos, mean_loss

    spark-submit jobs/train_entities.py --input features --output model --loss moe
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.config import describe_config, option
from yt8m_spark.core.entity_ids import parse_entities
from yt8m_spark.errors import InputError
from yt8m_spark.job import JobResult, run_job, user_error
from yt8m_spark.run import open_run
from yt8m_spark.spark.provenance import table_stamp, whitening_of
from yt8m_spark.spark.tables import read_table
from yt8m_spark.spark.training import prepare_shards, train_entities
from yt8m_spark.training_config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Train one logistic, hinge or mixture-of-experts classifier for each entity."""

    input: str = option("features table")
    loss: Literal["logistic", "hinge", "moe"] = option("classifier family (§4.3.1-3)", "logistic")
    entities: str | None = option("ids and ranges: 0-199,305 (default: all labels)", None)
    resume: bool = option("go on with a training that was stopped", False)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        if self.entities is not None:
            parse_entities(self.entities)


def main(config: Config) -> JobResult:
    """Read, train, describe; what a stopped training leaves is kept for --resume."""
    with open_run("train_entities", config, [config.input]) as run, _work(config) as work:
        data = prepare_shards(read_table(run.spark, config.input), work)
        trained = train_entities(
            run.spark,
            data,
            work,
            run.folder,
            loss=config.loss,
            n_experts=config.n_experts,
            options=config.training_options(),
            entities=None if config.entities is None else parse_entities(config.entities),
            block_size=config.block_size,
            description={"input": config.input, "whitening": whitening_of(config.input)},
        )
        run.log_metrics(trained._asdict())
    shutil.rmtree(work)
    return run.result({"model": config.output})


@contextmanager
def _work(config: Config) -> Iterator[str]:
    """Work folder beside the output; it stays if there is something in it to go on with."""
    work = _open_work(config)
    try:
        yield work
    except BaseException as error:
        if _has_blocks(Path(work)):
            print(f"finished blocks are kept in {work}: go on with --resume", file=sys.stderr)
        elif user_error(error):
            shutil.rmtree(work)
        raise


def _open_work(config: Config) -> str:
    """Return the work folder beside the output, empty or of the same training."""
    output = Path(config.output).resolve()
    work = output.parent / f".{output.name}.work"
    ignored = {"output", "overwrite", "resume", "tracking_uri", "experiment"}
    settings = {f"--{k}": v for k, v in describe_config(config).items() if k not in ignored}
    settings["the table of --input"] = table_stamp(config.input)
    if not config.resume:
        if _has_blocks(work) and not config.overwrite:
            expected = "--resume to go on, or --overwrite to start anew"
            raise InputError("a stopped training is there", where=str(work), expected=expected)
        shutil.rmtree(work, ignore_errors=True)
    elif work.exists():
        before = load_json(work / "settings.json")
        changed = [name for name in settings if before.get(name) != settings[name]]
        if changed:
            raise InputError(
                f"cannot resume: {changed[0].replace('_', '-')} has changed",
                expected=before.get(changed[0]),
                found=settings[changed[0]],
            )
    save_json(work / "settings.json", settings)
    return str(work)


def _has_blocks(work: Path) -> bool:
    return any((work / "blocks").glob("*.parquet"))


if __name__ == "__main__":
    run_job("train_entities", Config, main)
