# Databricks notebook source
# MAGIC %md
# MAGIC # 06 · Transfer to another data set
# MAGIC
# MAGIC What was learned on a large set helps on a small one (paper §5.3, §5.4, Table 5): here the PCA. Each row learns its
# MAGIC classifiers on the target's own videos; what differs is where the whitening comes from.
# MAGIC
# MAGIC **Needs** the `whitening` of **02** and the shards of a target: another data set with features of the same network, its own
# MAGIC labels. **Leaves** `transfer` in `work`.

# COMMAND ----------

# MAGIC %pip install --quiet --no-deps /Volumes/main/yt8m/data/yt8m_spark-0.1.0-py3-none-any.whl
# MAGIC %pip install --quiet 'mlflow>=3,<4' google-crc32c tqdm threadpoolctl
# MAGIC %restart_python

# COMMAND ----------

dbutils.widgets.text("target", "/Volumes/main/yt8m/data/target", "Folder of the target's shards")
dbutils.widgets.text("work", "/Volumes/main/yt8m/data/notebooks", "Folder for what is made")
dbutils.widgets.text("epochs", "20", "Passes over the target's few videos")
dbutils.widgets.text("experiment", "/Shared/yt8m_spark", "MLflow experiment")

target, work = dbutils.widgets.get("target"), dbutils.widgets.get("work")
epochs, experiment = int(dbutils.widgets.get("epochs")), dbutils.widgets.get("experiment")

# COMMAND ----------

# MAGIC %md
# MAGIC ## What is compared
# MAGIC
# MAGIC The rows that the whitening allows: logistic regression and mixtures, each with the target's own PCA and with the
# MAGIC transferred one. A PCA of 1,024 features has half a million numbers to estimate; a few hundred videos are too few for that.

# COMMAND ----------

from yt8m_spark.transfer_config import Config

config = Config(
    output=f"{work}/transfer",
    train=f"{target}/frame/train*.tfrecord",
    test=f"{target}/frame/test*.tfrecord",
    whitening=(f"{work}/whitening/fitted",),
    epochs=epochs,
    bootstrap=200,
)
source = config.source()
rows = config.chosen_rows(source, has_frames=True)
print("\n".join(row.name for row in rows))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Make the rows
# MAGIC
# MAGIC Each in a run of MLflow. Rows that are there already are not made again: delete `transfer` in `work` to begin anew.

# COMMAND ----------

from pathlib import Path

from yt8m_spark.tracking import tracked_run
from yt8m_spark.transfer import Transfer

Path(config.output).mkdir(parents=True, exist_ok=True)
targets = {"train": config.train, "test": config.test}
transfer = Transfer(spark, config.output, targets, source, config.options(source))
transfer.make_videos(rows)
figures = {}
for row in rows:
    with tracked_run(row.name, config.row_params(row), experiment=experiment) as run:
        figures[row.name] = transfer.done(row) or transfer.make(row, run)
        run.log_metrics(figures[row.name])

# COMMAND ----------

# MAGIC %md
# MAGIC ## The table
# MAGIC
# MAGIC **Look at** each *+ transferred PCA* and the row above it.

# COMMAND ----------

import pandas as pd

from yt8m_spark.report import TABLE_METRICS
from yt8m_spark.transfer_report import HEADS, approaches

table = pd.DataFrame({"approach": approaches(rows)})
for head in HEADS:
    table[f"{head} %"] = [100 * figures[row.name][TABLE_METRICS[head]] for row in rows]
display(table.round(1))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Is it luck?
# MAGIC
# MAGIC **Look at** the intervals: on a target of a few hundred videos a difference of two points may be none.

# COMMAND ----------

from yt8m_spark.comparison import compare
from yt8m_spark.comparison.page import comparison_page

comparison = compare([f"{row.name}={config.output}/evaluation/{row.name}" for row in rows])
displayHTML(comparison_page(comparison))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What to change
# MAGIC
# MAGIC - Give less of the target (`train0*.tfrecord`): the fewer its videos, the more the source's PCA helps.
# MAGIC - `network=f"{networks}/lstm"` in `Config`, a model of **04**: rows from scratch, frozen and fine-tuned.
# MAGIC - Labels in files (Sports-1M's lists, ActivityNet's JSON): `frames=`, `labels=`, `labels_format=`.
