"""Options of a search for hyper-parameters: lists where a training has one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from yt8m_spark.config import option
from yt8m_spark.core.entity_ids import parse_entities
from yt8m_spark.core.label_noise import check_label_noise
from yt8m_spark.core.search import Ranges, Setting, grid_settings, random_settings
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.training_config import MapperConfig

__all__ = ["SearchConfig"]

Number = TypeVar("Number", int, float)

_GIVEN = TrainingOptions()
_EXPERTS = 2  # H of the paper (§4.3.3)


@dataclass(frozen=True, kw_only=True)
class SearchConfig(MapperConfig):
    """Try hyper-parameters on a validation split, and train with the best."""

    input: str = option("features table to learn from")
    validate: str = option("features table to judge by, of the same whitening")
    loss: Literal["logistic", "hinge", "moe"] = option("classifier family (§4.3.1-3)", "logistic")
    learning_rates: tuple[str, ...] = option("of AdaGrad (§4.3)", ("0.1", "0.3", "1"))
    l2s: tuple[str, ...] = option("weights of ½|w|² in the loss", (str(_GIVEN.l2),))
    batch_sizes: tuple[str, ...] = option(
        "videos of a mini-batch (§4.3)", (str(_GIVEN.batch_size),)
    )
    experts: tuple[str, ...] | None = option(
        "experts of a mixture, H (§4.3.3); of --loss moe alone (default: 2)", None
    )
    n_random: int | None = option(
        "so many settings at random, rates and l2 between the least and the greatest of their "
        "list (default: every combination)",
        None,
    )
    choose: Literal["entity", "overall"] = option(
        "the best setting for each entity, or one for all", "overall"
    )
    metric: Literal["map", "loss"] = option("what is best on the validation split", "map")
    entities: str | None = option("ids and ranges: 0-199,305 (default: all labels)", None)
    resume: bool = option("go on with a search that was stopped", False)

    def __post_init__(self) -> None:
        """Refuse lists and values out of range."""
        super().__post_init__()
        if self.n_random is not None and self.n_random < 1:
            raise ValueError(f"n_random must be at least 1, got {self.n_random}")
        if self.experts is not None and self.loss != "moe":
            raise ValueError(f"experts are of loss moe alone, got loss {self.loss}")
        check_label_noise(self.loss, self.label_noise)
        if self.entities is not None:
            parse_entities(self.entities)
        base = self.training_options()
        # Every value, not only those drawn: a bad one must not pass on a lucky draw.
        for setting in grid_settings(self.ranges()):
            setting.options(base)
        self.settings()

    def ranges(self) -> Ranges:
        """Values of the four lists.

        Raises
        ------
        ValueError
            If one is empty, names a value twice or something that is no number.
        """
        experts = self.experts
        if experts is None:
            experts = (str(_EXPERTS if self.loss == "moe" else 1),)
        ranges = Ranges(
            _numbers("learning_rates", self.learning_rates, float),
            _numbers("l2s", self.l2s, float),
            _numbers("batch_sizes", self.batch_sizes, int),
            _numbers("experts", experts, int),
        )
        if min(ranges.n_experts) < 1:
            raise ValueError(f"experts must be at least 1, got {min(ranges.n_experts)}")
        return ranges

    def settings(self) -> list[Setting]:
        """Settings to try."""
        if self.n_random is None:
            return grid_settings(self.ranges())
        return random_settings(self.ranges(), self.n_random, self.seed)


def _numbers(
    name: str, texts: tuple[str, ...], kind: Callable[[str], Number]
) -> tuple[Number, ...]:
    if not texts:
        raise ValueError(f"{name} must name at least one value, got none")
    try:
        numbers = tuple(kind(text) for text in texts)
    except ValueError:
        expected = "whole numbers" if kind is int else "numbers"
        raise ValueError(f"{name} must be {expected}, got {','.join(texts)!r}") from None
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{name} must differ, got {','.join(texts)!r}")
    return numbers
