"""What an evaluation is asked for beside the metrics that it always gives."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EvaluationOptions"]

# Random groups of videos that a replicate draws from (`core.bootstrap`).
_GROUPS = 100
_LEAST_REPLICATES = 40


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Options of an evaluation.

    Parameters
    ----------
    hit_at : tuple of int
        Numbers of ranks k for which Hit@k is given, each at least 1. Hit@1 is always given.
    n_replicates : int
        Bootstrap replicates, at least 40 (2 / (1 - 0.95): of fewer none would lie beyond the ends
        of a 95 % interval); 0 for none.
    seed : int
        Of the bootstrap; at least 0.
    vocabulary : tuple of int, optional
        Entities there are: a label or a prediction of another one is refused.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    hit_at: tuple[int, ...] = (1, 5)
    n_replicates: int = 0
    seed: int = 0
    vocabulary: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range; put ``hit_at`` in order, with 1 among them."""
        if not self.hit_at or min(self.hit_at) < 1:
            raise ValueError(f"hit_at must be numbers of at least 1, got {self.hit_at}")
        if self.n_replicates and self.n_replicates < _LEAST_REPLICATES:
            raise ValueError(
                f"n_replicates must be 0 (none) or at least {_LEAST_REPLICATES}, of which 95 % "
                f"intervals can be taken, got {self.n_replicates}"
            )
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"seed must be at least 0 and below 2**63, got {self.seed}")
        object.__setattr__(self, "hit_at", tuple(sorted({1, *self.hit_at})))

    @property
    def n_groups(self) -> int:
        """Groups that videos fall into, G; 1 without a bootstrap."""
        return _GROUPS if self.n_replicates else 1
