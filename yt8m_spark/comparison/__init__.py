"""Runs side by side, like the paper's Table 3: `compare` in a notebook, `jobs/compare_runs.py`."""

from yt8m_spark.comparison.compare import Comparison, Difference, compare

__all__ = ["Comparison", "Difference", "compare"]
