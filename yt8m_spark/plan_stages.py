"""The stages of each job and what they are reckoned to take: small models over `plan_rates`.

Axes: V videos, D features, R weight vectors an entity, E entities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from yt8m_spark import plan_rates as rate
from yt8m_spark.core.block_width import STATE_MEMORY, state_bytes
from yt8m_spark.core.entity_ids import parse_entities
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.plan import Stage
from yt8m_spark.plan_inputs import Source, check_frames
from yt8m_spark.plan_networks import network_stages
from yt8m_spark.plan_rates import spark_stage
from yt8m_spark.scorer import is_network, is_stack, read_description

__all__ = ["n_entities_of", "stages_of"]

Stages = list[Stage]
Plan = Callable[[Any, Sequence[Source]], Stages]

_VIDEOS, _WIDTH, _ENTITIES = 1000, 1152, 1000  # where nothing tells


def stages_of(job: str, config: Any, sources: Sequence[Source]) -> Stages:
    """Stages of ``job`` with those options and inputs, in order.

    A job without a model of its own reads its inputs: that is what it takes at least.
    """
    plan = _PLANS.get(job)
    return plan(config, sources) if plan else [_at_least(job, sources)]


def _at_least(job: str, sources: Sequence[Source]) -> Stage:
    n_bytes = sum(source.n_bytes for source in sources)
    seconds = n_bytes / rate.PARQUET
    return spark_stage(job.replace("_", " "), seconds, at_least=True)


def _named(sources: Sequence[Source], option: str) -> Source:
    """Input of ``option``; the first one if none is called so."""
    return next((s for s in sources if s.option == option), sources[0])


def _videos(source: Source) -> int:
    return source.rows or _VIDEOS


def _width(source: Source) -> int:
    return source.width or _WIDTH


def n_entities_of(config: Any, source: Source) -> int:
    """E: what is asked for, else those that the rows tell of, as far as the vocabulary has them."""
    if asked := getattr(config, "entities", None):
        return len(parse_entities(asked))
    told = source.n_entities or _ENTITIES
    vocabulary = getattr(config, "vocabulary", None)
    if not vocabulary:
        return told
    n_known = len(read_vocabulary(vocabulary).entities)
    return min(told, n_known) if source.n_entities else n_known


def _rows_an_entity(loss: str, n_experts: int) -> int:
    return 2 * n_experts if loss == "moe" else 1


def _read(source: Source) -> float:
    """Seconds of a core to have ``source`` in tasks."""
    return source.n_bytes / (rate.TFRECORD if source.of_shards else rate.PARQUET)


def _convert(config: Any, sources: Sequence[Source]) -> Stages:
    return [spark_stage("convert", _named(sources, "input").n_bytes / rate.TFRECORD)]


def _aggregate(config: Any, sources: Sequence[Source]) -> Stages:
    source = _named(sources, "input")
    encoded = {"vlad", "fisher"} & set(config.statistics) or config.space == "relu"
    seconds = statistics_seconds(source, config.statistics)
    return [spark_stage("aggregate videos", seconds, at_least=bool(encoded))]


def statistics_seconds(source: Source, statistics: Sequence[str]) -> float:
    """Seconds of a core from frames to ``statistics``, written."""
    read = source.n_bytes / rate.STATISTICS if source.of_shards else _read(source)
    return read + 4 * _videos(source) * _width(source) * n_vectors(statistics) / rate.WRITE


def n_vectors(statistics: Sequence[str]) -> int:
    """Vectors of D numbers that ``statistics`` are: five of top5, one of most others."""
    tops = [int(name.removeprefix("top")) for name in statistics if name.startswith("top")]
    return len(statistics) - len(tops) + sum(tops)


def _make_synthetic(config: Any, sources: Sequence[Source]) -> Stages:
    width = config.rgb_dim + config.audio_dim
    n_bytes = config.n_videos * width * (min(config.mean_frames, config.max_frames) + 4)
    return [spark_stage("make videos", n_bytes / rate.MAKE)]


def _sample_frames(config: Any, sources: Sequence[Source]) -> Stages:
    source = _named(sources, "input")
    check_frames(source)
    written = 4 * _width(source) * _videos(source) * config.n_frames
    return [spark_stage("sample frames", _read(source) + written / rate.PARQUET)]


def _quantize(config: Any, sources: Sequence[Source]) -> Stages:
    source = _named(sources, "input")
    passes = ("ranges", "counts", "code features", "measure errors")
    fitted = passes if config.codebook is None else passes[2:]
    return [spark_stage(name, _read(source)) for name in fitted]


def _profile(config: Any, sources: Sequence[Source]) -> Stages:
    seconds = sum(_read(source) for source in sources if source.is_data)
    return [spark_stage("read videos", seconds), spark_stage("count", 0.0, n_stages=6)]


def _fit_whitening(config: Any, sources: Sequence[Source]) -> Stages:
    source = _named(sources, "input")
    asked = sum(source.widths.get(name, 0) for name in config.columns)
    budget = config.memory * (1 << 20)
    return [whiten_stage(_videos(source), asked or _width(source), _read(source), budget)]


def whiten_stage(n_videos: int, width: int, read: float, budget: float) -> Stage:
    """Moments of ``width`` features and their components, which the driver finds."""
    moments = n_videos * width**2 / rate.MOMENTS
    matrix = 8.0 * width**2
    return spark_stage(
        "fit whitening",
        read + moments,
        driver_seconds=width**3 / rate.EIGEN,
        task_bytes=min(2 * matrix, budget),
        driver_bytes=min(4 * matrix, 2 * budget),
    )


def _normalize(config: Any, sources: Sequence[Source]) -> Stages:
    source = _named(sources, "input")
    return [normalize_stage(_videos(source), _width(source), _read(source))]


def normalize_stage(n_videos: int, width: int, read: float) -> Stage:
    """Every video times the components, written as a table."""
    products = 2 * n_videos * width**2 / rate.PRODUCT
    written = 4 * n_videos * width / rate.PARQUET
    return spark_stage("normalise videos", read + products + written, task_bytes=8.0 * width**2)


# Classifiers.


def _train_entities(config: Any, sources: Sequence[Source]) -> Stages:
    source = _named(sources, "input")
    n_entities = n_entities_of(config, source)
    n_rows = _rows_an_entity(config.loss, config.n_experts)
    return train_stages(
        _videos(source), _width(source), n_entities, n_rows, config.epochs, name=config.loss
    )


def train_stages(
    n_videos: int, width: int, n_entities: int, n_rows: int, epochs: int, *, name: str
) -> Stages:
    """Training shards, and 4 D R flops a step for each video and entity (docs/scale.md)."""
    layout = 4 * n_videos * width / rate.LAYOUT
    flops = 4.0 * width * n_rows * n_entities * n_videos * epochs
    # Narrow blocks are slow: a batch costs as much as one of 64 columns.
    flops *= max(1.0, 64 / (n_rows * n_entities))
    state = min(state_bytes(width, n_rows, n_entities), STATE_MEMORY)
    videos = 4 * 4 * width * 2048  # four shards at a time
    return [
        spark_stage("lay out training shards", layout, n_stages=3),
        spark_stage(f"train {name}", flops / rate.TRAIN, task_bytes=float(state + videos)),
    ]


def _search(config: Any, sources: Sequence[Source]) -> Stages:
    source = _named(sources, "input")
    settings = config.settings()
    rows = [_rows_an_entity(config.loss, getattr(s, "n_experts", 1)) for s in settings]
    n_entities = n_entities_of(config, source)
    layout, _ = train_stages(_videos(source), _width(source), n_entities, 1, 1, name=config.loss)
    trained = [
        train_stages(_videos(source), _width(source), n_entities, n, config.epochs, name="")[1]
        for n in rows
    ]
    judged = score_seconds(_named(sources, "validate"), n_entities, sum(rows))
    seconds = sum(stage.core_seconds for stage in trained) + judged
    task = sum(stage.task_bytes for stage in trained)
    name = f"search {config.loss}, {len(settings)} settings"
    return [layout, spark_stage(name, seconds, task_bytes=task)]


def _train_stack(config: Any, sources: Sequence[Source]) -> Stages:
    source = _named(sources, "input")
    n_videos, n_entities = _videos(source), n_entities_of(config, source)
    n_rows = _rows_an_entity(config.loss, config.n_experts)
    plan: Stages = []
    shares = {} if config.first else {"first": 1.0}
    if not config.first:
        share = 1 - 1 / config.n_folds
        shares |= {f"fold-{k}": share for k in range(config.n_folds)}
    for part, share in shares.items():
        of_part = train_stages(
            int(n_videos * share), _width(source), n_entities, n_rows, config.epochs, name="first"
        )
        plan += [stage._replace(name=f"{part}: {stage.name}") for stage in of_part]
    scored = score_seconds(source, n_entities, n_rows)
    width = min(config.n_components, n_entities)
    plan.append(whiten_stage(n_videos, n_entities, scored, 512 << 20)._replace(name="fit the map"))
    plan.append(spark_stage("map scores", scored + 4 * n_videos * width / rate.PARQUET))
    second = train_stages(
        n_videos, width, n_entities, n_rows, config.second.epochs, name=config.second.loss
    )
    return plan + [stage._replace(name=f"second: {stage.name}") for stage in second]


# Scoring.


def score_seconds(source: Source, n_entities: int, n_rows: int) -> float:
    """Seconds of a core to read the videos and to score them for all entities."""
    flops = 2.0 * _videos(source) * _width(source) * n_rows * n_entities
    return _read(source) + flops / rate.PRODUCT


def _scored(config: Any, sources: Sequence[Source]) -> tuple[float, float, float, bool]:
    """Seconds to score ``--input`` with ``--model``, scores, bytes of the model, at least so."""
    source, described = _named(sources, "input"), read_description(config.model)
    n_entities, loss = int(described["n_entities"]), str(described["loss"])
    n_rows = _rows_an_entity(loss, int(described.get("n_experts") or 1))
    in_part = is_network(config.model) or is_stack(config.model)
    n_bytes = float(_named(sources, "model").n_bytes)
    seconds = score_seconds(source, n_entities, n_rows)
    return seconds, float(_videos(source)) * n_entities, 2 * n_bytes, in_part


def _predict(config: Any, sources: Sequence[Source]) -> Stages:
    seconds, scores, model, in_part = _scored(config, sources)
    taken = seconds + scores / rate.TOP_K
    return [spark_stage("score videos", taken, task_bytes=model, at_least=in_part)]


def _fit_calibration(config: Any, sources: Sequence[Source]) -> Stages:
    seconds, scores, model, in_part = _scored(config, sources)
    taken = seconds + scores / rate.METRICS
    return [spark_stage("fit calibration", taken, task_bytes=model, at_least=in_part, n_stages=2)]


def _evaluate(config: Any, sources: Sequence[Source]) -> Stages:
    if config.model is None:
        seconds = sum(_read(source) for source in sources if source.is_data)
        return [spark_stage("evaluate predictions", seconds, n_stages=4, at_least=True)]
    seconds, scores, model, in_part = _scored(config, sources)
    taken = seconds + scores / rate.METRICS
    return [spark_stage("evaluate model", taken, task_bytes=model, at_least=in_part, n_stages=3)]


# The whole line.


def _pipeline(config: Any, sources: Sequence[Source]) -> Stages:
    from yt8m_spark.plan_pipeline import recipe_stages  # which needs what is here

    return recipe_stages(config, _named(sources, "train"), _named(sources, "test"))


def _train_deep(config: Any, sources: Sequence[Source]) -> Stages:
    source = _named(sources, "input")
    check_frames(source)
    return network_stages(config.model, config, source, n_entities_of(config, source))


_PLANS: dict[str, Plan] = {
    "aggregate_videos": _aggregate,
    "convert_tfrecords": _convert,
    "evaluate": _evaluate,
    "fit_calibration": _fit_calibration,
    "fit_whitening": _fit_whitening,
    "make_synthetic": _make_synthetic,
    "normalize_videos": _normalize,
    "predict": _predict,
    "profile_dataset": _profile,
    "quantize_features": _quantize,
    "run_pipeline": _pipeline,
    "sample_frames": _sample_frames,
    "search_entities": _search,
    "train_deep": _train_deep,
    "train_entities": _train_entities,
    "train_stack": _train_stack,
}
