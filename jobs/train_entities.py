"""Train one logistic, hinge or mixture-of-experts classifier for each entity (paper §4.3).

reads    --input     features table
writes   --output    model folder: entities/*.parquet, model.json
logs     n_entities, n_videos, n_blocks, n_without_positives, mean_loss; loss, pass by pass;
         running_loss, entities_done, share_done while it trains, by percent of the work

    spark-submit jobs/train_entities.py --input features --output model --loss moe
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yt8m_spark.config import option
from yt8m_spark.core.entity_ids import parse_entities
from yt8m_spark.core.label_noise import check_label_noise
from yt8m_spark.core.losses import check_tolerance
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.pyfunc import check_registration, log_entity_model
from yt8m_spark.run import open_run
from yt8m_spark.spark.provenance import origin_of
from yt8m_spark.spark.training import train_entities
from yt8m_spark.training_config import TrainingConfig, lay_out, settings_of
from yt8m_spark.training_metrics import follow_training, log_losses
from yt8m_spark.work_folder import work_folder

# What has no say in the weights.
_FREE = frozenset({"register", "alias"})


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Train one logistic, hinge or mixture-of-experts classifier for each entity."""

    input: str = option("features table")
    loss: Literal["logistic", "hinge", "moe", "softmax"] = option(
        "classifier family (§4.3.1-3), or one distribution over all entities", "logistic"
    )
    entities: str | None = option("ids and ranges: 0-199,305 (default: all labels)", None)
    resume: bool = option("go on with a training that was stopped", False)
    initial_model: str | None = option("model whose weights are the first ones", None)
    extends: str | None = option("model whose other entities become part of this one", None)
    log_model: bool = option("log the model to MLflow as a pyfunc", False)
    register: str | None = option("log it, as the next version of this registered model", None)
    alias: str | None = option("alias of that version, such as champion", None)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        if self.entities is not None:
            parse_entities(self.entities)
        check_label_noise(self.loss, self.label_noise)
        check_tolerance(self.loss, self.tolerance)
        check_registration(self.register, self.alias)


def main(config: Config) -> JobResult:
    """Read, train, describe; what a stopped training leaves is kept for --resume."""
    inputs = [config.input, config.vocabulary, config.initial_model, config.extends]
    with (
        work_folder(
            config.output,
            settings_of(config, _tables(config), _FREE),
            resume=config.resume,
            overwrite=config.overwrite,
        ) as work,
        # Inside: what is done is kept until the model is in its place.
        open_run("train_entities", config, inputs) as run,
    ):
        data = lay_out(run, config, config.input, work)
        entities = None if config.entities is None else parse_entities(config.entities)
        with follow_training(run.tracked, work):
            trained = train_entities(
                run.spark,
                data,
                work,
                run.folder,
                loss=config.loss,
                n_experts=config.n_experts,
                options=config.training_options(),
                entities=entities,
                block_size=config.block_size,
                extras=config.extras(data, entities)._replace(
                    initial_model=config.initial_model, extends=config.extends
                ),
                description={"input": config.input, **origin_of(config.input)},
            )
        run.log_metrics(trained._asdict())
        log_losses(run.tracked, run.folder)
        if config.log_model or config.register:
            log_entity_model(run.tracked, run.folder, register=config.register, alias=config.alias)
    return run.result({"model": config.output})


def _tables(config: Config) -> dict[str, str]:
    """What is read, by its flag: none of it may change between a training and its resumption."""
    given = {"--input": config.input, "--initial-model": config.initial_model}
    given["--extends"] = config.extends
    return {flag: path for flag, path in given.items() if path is not None}


if __name__ == "__main__":
    run_job("train_entities", Config, main)
