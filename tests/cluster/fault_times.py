"""What faults cost: a line each as they happen, a table at the end of the session."""

from __future__ import annotations

from typing import NamedTuple

from yt8m_spark.markdown import markdown_table

__all__ = ["ROWS", "FaultTime", "record", "table"]


class FaultTime(NamedTuple):
    """Seconds of a stage, from its start until its output was there."""

    stage: str
    fault: str
    undisturbed: float
    with_fault: float  # both runs, where the command was given again

    @property
    def lost(self) -> float:
        """Seconds that the fault has cost; below 0 it was noise."""
        return self.with_fault - self.undisturbed

    def __str__(self) -> str:
        times = f"{self.undisturbed:.1f} s undisturbed, {self.with_fault:.1f} s with it"
        return f"{self.stage}, {self.fault}: {times}, {self.lost:.1f} s lost"


ROWS: list[FaultTime] = []


def record(row: FaultTime) -> None:
    """Keep ``row`` for the table, and print it."""
    ROWS.append(row)
    print(f"\n{row}")


def table() -> str:
    """All that was recorded, in Markdown."""
    head = ["stage", "fault", "undisturbed, s", "with fault, s", "lost, s"]
    figures = [
        [row.stage, row.fault, *(f"{s:.1f}" for s in (row.undisturbed, row.with_fault, row.lost))]
        for row in ROWS
    ]
    return markdown_table([head, *figures], n_texts=2)
