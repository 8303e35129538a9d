# Databricks notebook source
# MAGIC %md
# MAGIC # 04 · DBoF and LSTM
# MAGIC
# MAGIC The paper's networks of frames: deep bag of frames (§4.1.2) and LSTM (§4.1.3). Each is trained on shards, judged on
# MAGIC Validate after every pass, and evaluated as any other model.
# MAGIC
# MAGIC **Needs** `frame/{train,validate,test}*.tfrecord` in `data`, and torch: `%pip install 'torch>=2.4' safetensors`, or the ML
# MAGIC runtime of a single GPU machine, which has it. **Leaves** `networks/NAME` in `work`.

# COMMAND ----------

# MAGIC %pip install --quiet --no-deps /Volumes/main/yt8m/data/yt8m_spark-0.1.0-py3-none-any.whl
# MAGIC %pip install --quiet 'mlflow>=3,<4' google-crc32c tqdm threadpoolctl torch safetensors
# MAGIC %restart_python

# COMMAND ----------

dbutils.widgets.text("data", "/Volumes/main/yt8m/data", "Folder of the shards")
dbutils.widgets.text("work", "/Volumes/main/yt8m/data/notebooks", "Folder for what is made")
dbutils.widgets.multiselect("networks", "dbof,lstm", ["dbof", "lstm"])
dbutils.widgets.dropdown("size", "paper", ["paper", "small"], "Size of the networks")
dbutils.widgets.text("epochs", "5", "Passes over the videos")
dbutils.widgets.text("experiment", "/Shared/yt8m_spark", "MLflow experiment")

data, work = dbutils.widgets.get("data"), dbutils.widgets.get("work")
networks, epochs = dbutils.widgets.get("networks").split(","), int(dbutils.widgets.get("epochs"))
experiment = dbutils.widgets.get("experiment")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Sizes
# MAGIC
# MAGIC The paper's: 8,192 units of DBoF's shared layer, two LSTM layers of 1,024 cells unrolled over 60 seconds. `small` is
# MAGIC for a look without a GPU.
# MAGIC
# MAGIC `n_processes` ranks share each batch. `device="auto"` takes the GPUs of the driver, one rank each.

# COMMAND ----------

from yt8m_spark.network_config import NetworkConfig

sizes = {
    "paper": NetworkConfig(epochs=epochs),
    "small": NetworkConfig(
        epochs=epochs, units=128, hidden=32, layers=1, cells=32, horizon=20, batch_size=32
    ),
}
config = sizes[dbutils.widgets.get("size")]

# COMMAND ----------

# MAGIC %md
# MAGIC ## Train
# MAGIC
# MAGIC What a training keeps while it runs (checkpoints, a log of steps that grows) lies on the driver's own disk: a volume takes
# MAGIC whole files, nothing that is appended to. Only the finished model goes to the volume. So this is for one machine
# MAGIC with one or more GPUs; for ranks on several, see `docs/databricks.md`.

# COMMAND ----------

import shutil
import tempfile

import pandas as pd

from yt8m_spark.network_training import NetworkTask, train_network
from yt8m_spark.tracking import tracked_run

shards = {split: f"{data}/frame/{split}*.tfrecord" for split in ("train", "validate", "test")}
trained, losses = {}, {}
for network in networks:
    scratch = tempfile.mkdtemp(prefix="yt8m-")
    task = NetworkTask(network, config, shards["train"], validate=shards["validate"])
    with tracked_run(network, {"network": network}, experiment=experiment) as run:
        trained[network] = train_network(spark, run, task, scratch, f"{scratch}/model")
        losses[network] = run.client.get_metric_history(run.run_id, "loss")
    shutil.copytree(f"{scratch}/model", f"{work}/networks/{network}", dirs_exist_ok=True)
    shutil.rmtree(scratch)
display(pd.DataFrame({network: found.figures() for network, found in trained.items()}))

# COMMAND ----------

# MAGIC %md
# MAGIC ## The loss by step
# MAGIC
# MAGIC **Look for** a line that still falls at its end: more passes pay. One that jumps wants a smaller learning rate, or `clip`.

# COMMAND ----------

import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
for network, style in zip(networks, ("-", "--"), strict=False):
    points = losses[network]
    axes.plot([p.step for p in points], [p.value for p in points], style, label=network)
axes.set(xlabel="step", ylabel="loss of a video")
axes.legend(frameon=False)
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Evaluate
# MAGIC
# MAGIC On Test, which played no part in choosing the pass. **Look at** DBoF and LSTM beside **03**'s classifiers of means: only the
# MAGIC LSTM knows the order of the frames.

# COMMAND ----------

from yt8m_spark.spark.scoring import evaluate_model, predict
from yt8m_spark.spark.source import read_shards

test = read_shards(spark, shards["test"], level="frame")
evaluated = {
    network: evaluate_model(test, f"{work}/networks/{network}").metrics for network in networks
}
display(pd.DataFrame(evaluated).loc[["map", "hit_at_1", "perr", "gap_at_20"]])

# COMMAND ----------

display(predict(test, f"{work}/networks/{networks[0]}", 3).limit(5))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What to change
# MAGIC
# MAGIC - `NetworkConfig(optimizer="adamw", learning_rate=1e-3, weight_decay=0.05, clip=5)`: on AudioSet better than the
# MAGIC   paper's AdaGrad.
# MAGIC - `classifier="moe"`; `n_frames`; `pooling="average"`.
# MAGIC - `yt8m-spark train_deep` is the same as a job, with `--resume`.
