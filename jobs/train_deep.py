"""Train a network of frames: DBoF (paper §4.1.2), LSTM (§4.1.3) or the mean frame.

reads    --input     glob of frame-level TFRecord shards, or a frames table
         --validate  the same; the model after each pass is evaluated on it
writes   --output    model folder: model.json, entities/*.parquet, weights.safetensors
logs     loss, examples_per_second, learning_rate by step; epoch_loss and validate_* by pass;
         n_videos, n_entities, n_without_frames, n_steps, n_epochs, epoch

    spark-submit jobs/train_deep.py --model dbof --input 'yt8m/frame/train*.tfrecord' \
        --validate 'yt8m/frame/validate*.tfrecord' --output model
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yt8m_spark.config import option
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.network_config import NetworkConfig, check_torch, network_settings
from yt8m_spark.network_training import NetworkTask, train_network
from yt8m_spark.pyfunc import check_registration, log_network_model
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.work_folder import work_folder


@dataclass(frozen=True, kw_only=True)
class Config(NetworkConfig, JobConfig):
    """Train a network of frames: DBoF (§4.1.2), LSTM (§4.1.3) or the mean frame."""

    model: Literal["dbof", "lstm", "mean"] = option("network")
    input: str = option("glob of frame-level shards, or frames table, to learn from")
    validate: str | None = option("the same, to evaluate the model after each pass on", None)
    resume: bool = option("go on with a training that was stopped", False)
    initial_model: str | None = option("model folder whose weights are the first ones", None)
    trainable: Literal["all", "output"] = option("weights that are learned", "all")
    vocabulary: str | None = option("CSV of the entities that labels may name", None)
    log_model: bool = option("log the model to MLflow as a pyfunc", False)
    register: str | None = option("log it, as the next version of this registered model", None)
    alias: str | None = option("alias of that version, such as champion", None)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        self.frames_of(self.model)
        check_registration(self.register, self.alias)

    def task(self) -> NetworkTask:
        """What is to be trained."""
        given = (self.validate, self.vocabulary, self.initial_model, self.trainable, self.resume)
        return NetworkTask(self.model, self, self.input, *given)


def main(config: Config) -> JobResult:
    """Count labels, train, describe; what a stopped training leaves is kept for --resume."""
    check_torch()
    sources = {"--input": config.input, "--initial-model": config.initial_model}
    settings = network_settings(config, {flag: path for flag, path in sources.items() if path})
    inputs = [config.input, config.validate, config.vocabulary, config.initial_model]
    with (
        work_folder(
            config.output, settings, resume=config.resume, overwrite=config.overwrite
        ) as work,
        open_run("train_deep", config, inputs) as run,
    ):
        trained = train_network(run.spark, run.tracked, config.task(), work, run.folder)
        run.log_metrics(trained.counts())
        run.metrics.update(trained.figures())
        if config.log_model or config.register:
            log_network_model(run.tracked, run.folder, register=config.register, alias=config.alias)
    return run.result({"model": config.output})


if __name__ == "__main__":
    run_job("train_deep", Config, main)
