"""Options of train_stack: those of a training, of both stages, and what lies between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from yt8m_spark.config import option
from yt8m_spark.core.entity_ids import parse_entities
from yt8m_spark.core.label_noise import check_label_noise
from yt8m_spark.core.stacking import WEIGHT, check_weight
from yt8m_spark.pyfunc import check_registration
from yt8m_spark.training_config import TrainingConfig

__all__ = ["StackConfig"]


@dataclass(frozen=True, kw_only=True)
class StackConfig(TrainingConfig):
    """Train a second classifier for each entity on the first ones' scores of all entities."""

    input: str = option("features table; with --first of videos that it has not learned from")
    first: str | None = option(
        "model of train_entities to take for the first stage (default: trained here)", None
    )
    n_folds: int = option("folds whose scores come from a first stage trained on the others", 5)
    loss: Literal["logistic", "hinge", "moe"] = option(
        "classifier family of both stages (§4.3.1-3)", "logistic"
    )
    second_loss: Literal["logistic", "hinge", "moe"] | None = option(
        "family of the second stage (default: --loss)", None
    )
    second_learning_rate: float | None = option(
        "of the second stage (default: --learning-rate)", None
    )
    second_epochs: int | None = option("passes of the second stage (default: --epochs)", None)
    second_l2: float | None = option("of the second stage (default: --l2)", None)
    n_components: int = option("components of the scores that the second stage sees; ours", 256)
    ridge: float = option("share of the mean variance added to that of each; ours", 10.0)
    weight: float = option("share of the second stage in the log-odds of both; ours", WEIGHT)
    entities: str | None = option("ids and ranges: 0-199,305 (default: all labels)", None)
    resume: bool = option("go on with a training that was stopped", False)
    log_model: bool = option("log the model to MLflow as a pyfunc", False)
    register: str | None = option("log it, as the next version of this registered model", None)
    alias: str | None = option("alias of that version, such as champion", None)

    def __post_init__(self) -> None:
        """Refuse values out of range, and what --first has no use for."""
        super().__post_init__()
        if self.n_folds < 2:
            raise ValueError(f"n_folds must be at least 2, got {self.n_folds}")
        if self.n_components < 1:
            raise ValueError(f"n_components must be at least 1, got {self.n_components}")
        if not self.ridge >= 0:
            raise ValueError(f"ridge must be at least 0, got {self.ridge}")
        if self.first is not None and self.entities is not None:
            raise ValueError("--entities is of a first stage that is trained here, not of --first")
        check_weight(self.weight)
        if self.entities is not None:
            parse_entities(self.entities)
        for loss in (self.loss, self.second_loss or self.loss):
            check_label_noise(loss, self.label_noise)
        check_registration(self.register, self.alias)
        if self.changed_in_second:
            _ = self.second

    @property
    def changed_in_second(self) -> dict[str, str | float | int]:
        """Options of the second stage that were given for it alone."""
        given = {
            "loss": self.second_loss,
            "learning_rate": self.second_learning_rate,
            "epochs": self.second_epochs,
            "l2": self.second_l2,
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def second(self) -> StackConfig:
        """Options of the second stage under the names of the first's."""
        own = dict.fromkeys(
            ("second_loss", "second_learning_rate", "second_epochs", "second_l2"), None
        )
        return replace(self, **own, **self.changed_in_second)  # type: ignore[arg-type]
