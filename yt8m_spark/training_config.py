"""Options of every job that trains."""

from __future__ import annotations

from dataclasses import dataclass

from yt8m_spark.config import option
from yt8m_spark.core.training import TrainingOptions
from yt8m_spark.run import JobConfig

__all__ = ["TrainingConfig"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(JobConfig):
    """How one-vs-all classifiers are trained: the paper's values where it gives them."""

    n_experts: int = option("experts of a mixture, H (§4.3.3)", 2)
    learning_rate: float = option("of AdaGrad (§4.3)", 1.0)
    batch_size: int = option("videos of a mini-batch (§4.3)", 32)
    epochs: int = option("passes over the videos; ours", 5)
    l2: float = option("weight of ½|w|² in the loss; ours", 1e-5)
    initial_accumulator: float = option("where AdaGrad's sum of squares starts; ours", 1e-8)
    seed: int = option("of the order of videos and of first weights", 0)
    block_size: int | None = option("entities a task (default: a sixteenth, 16 to 256)", None)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in ("epochs", "n_experts", "block_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.training_options()

    def training_options(self) -> TrainingOptions:
        """Hyper-parameters of the mapper."""
        return TrainingOptions(
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            n_epochs=self.epochs,
            l2=self.l2,
            initial_accumulator=self.initial_accumulator,
            seed=self.seed,
        )
