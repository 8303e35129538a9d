"""Stages of training a network of frames, and what they are reckoned to take."""

from __future__ import annotations

from typing import Any

from yt8m_spark import plan_rates as rate
from yt8m_spark.plan import Stage
from yt8m_spark.plan_inputs import Source
from yt8m_spark.plan_rates import spark_stage

__all__ = ["network_stages"]

_FRAMES = {"dbof": 30, "lstm": 60, "mean": 0}  # a video, where no option tells
_ADAGRAD = 3  # copies of the weights: themselves, their gradient, AdaGrad's sums


def network_stages(network: str, config: Any, source: Source, n_entities: int) -> list[Stage]:
    """Labels are counted, then ranks train: six flops for each weight and frame that it sees.

    On this machine's cores; a GPU is not reckoned with.
    """
    n_videos, width = source.rows or 1000, source.width or 1152
    read = source.n_bytes / (rate.TFRECORD if source.of_shards else rate.PARQUET)
    a_frame, a_video = _weights(network, config, width, n_entities)
    n_frames = config.n_frames or _FRAMES[network]
    flops = 6.0 * (a_frame * n_frames + a_video) * n_videos * config.epochs
    # Ranks are processes of their own on the driver's machine: what they hold is the driver's.
    held = 4.0 * _ADAGRAD * (a_frame + a_video) + (500 << 20)
    return [
        spark_stage("count labels", read),
        Stage(
            "train",
            core_seconds=flops / rate.PRODUCT + read * config.epochs,
            driver_seconds=rate.STAGE_SECONDS,
            driver_bytes=held * (config.n_processes or 1),
        ),
    ]


def _weights(network: str, config: Any, width: int, n_entities: int) -> tuple[float, float]:
    """Weights that each frame meets, and those that each video meets."""
    n_outputs = n_entities * (2 * config.n_experts if config.classifier == "moe" else 1)
    if network == "dbof":
        return width * config.units, config.units * config.hidden + config.hidden * n_outputs
    if network == "lstm":
        cells, above = config.cells, config.layers - 1
        return 4.0 * cells * (width + cells + above * 2 * cells), cells * n_outputs
    return 0.0, width * n_outputs
