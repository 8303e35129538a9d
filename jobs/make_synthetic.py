"""Make a small YouTube-8M of synthetic videos, in the true format, its ground truth beside it.

reads    nothing
writes   --output    frame/ and video/ TFRecord shards, vocabulary.csv, ground truth
logs     n_videos, n_labels, label_recall, label_precision

    spark-submit jobs/make_synthetic.py --output synthetic --n-videos 2000 --n-entities 100
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from yt8m_spark.config import option
from yt8m_spark.core.synthetic_config import SyntheticConfig
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import step
from yt8m_spark.run import JobConfig, open_run
from yt8m_spark.spark.synthetic import write_synthetic
