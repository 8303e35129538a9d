# Databricks notebook source
# MAGIC %md
# MAGIC # 02 · Video features and whitening
# MAGIC
# MAGIC From the frames of a video to one vector (paper §4.2): mean, standard deviation and the five largest values of each
# MAGIC feature (Eq. 2), then the mean subtracted, PCA, whitening and length 1 (§4.2.2).
# MAGIC
# MAGIC **Needs** frame-level shards in `data`, as **01** does. **Leaves** tables `videos` and `features` and the folder
# MAGIC `whitening` in `work`, for **03**, **05** and **06**.

# COMMAND ----------

# MAGIC %pip install --quiet --no-deps /Volumes/main/yt8m/data/yt8m_spark-0.1.0-py3-none-any.whl
# MAGIC %pip install --quiet 'mlflow>=3,<4' google-crc32c tqdm threadpoolctl
# MAGIC %restart_python

# COMMAND ----------

dbutils.widgets.text("data", "/Volumes/main/yt8m/data", "Folder of the shards")
dbutils.widgets.text("work", "/Volumes/main/yt8m/data/notebooks", "Folder for what is made")
dbutils.widgets.dropdown("statistics", "mean", ["mean", "mean,std", "mean,std,top5"], "Of frames")
dbutils.widgets.text("ridge", "10", "Added to each variance, as a share of the mean one")

data, work = dbutils.widgets.get("data"), dbutils.widgets.get("work")
statistics, ridge = dbutils.widgets.get("statistics"), float(dbutils.widgets.get("ridge"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Frames to statistics
# MAGIC
# MAGIC The reader itself can reduce the frames: with the option `statistics` a row leaves its task as a few vectors, and the
# MAGIC frames, 100 times as many bytes, never travel. `VideoStatistics` does the same to a table of frames.
# MAGIC
# MAGIC **Look at** the columns: `mean_rgb` has a number for each feature, `top5_rgb` five times as many.

# COMMAND ----------

from yt8m_spark.spark.source import read_shards
from yt8m_spark.spark.tables import read_table

reduced = {"statistics": statistics}
for split in ("train", "test"):
    shards = f"{data}/frame/{split}*.tfrecord"
    table = read_shards(spark, shards, level="frame", options=reduced)
    table.write.mode("overwrite").parquet(f"{work}/videos/{split}")

train, test = (read_table(spark, f"{work}/videos/{split}") for split in ("train", "test"))
display(train.limit(5))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Fit the whitening
# MAGIC
# MAGIC Columns are set side by side, one statistic after the other, as **06** wants them. On Train alone, whose covariance the cluster adds up; the driver gets one matrix of features x features.
# MAGIC `ridge` is added to each variance before dividing by its root: with 0, as in the paper, directions that hold
# MAGIC little but noise are scaled up as far as all others. That is right for millions of videos and costs a little on thousands.

# COMMAND ----------

from yt8m_spark.ml import PCAWhitening
from yt8m_spark.spark.schemas import video_features
from yt8m_spark.whitening_files import load_whitening

known, kinds = video_features(train.schema), statistics.split(",")
inputs = [name for kind in kinds for name in known if name.startswith(f"{kind}_")]
fitted = PCAWhitening(inputCols=inputs, ridge=ridge, workDir=f"{work}/fitted").fit(train)
fitted.write().overwrite().save(f"{work}/whitening")
whitening, columns = load_whitening(f"{work}/whitening/fitted")
print(f"{whitening.n_components} components of {', '.join(columns)}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## How many components matter
# MAGIC
# MAGIC **Look at** where the line bends: components to the right of it hold a few percent of the variance together.
# MAGIC `PCAWhitening(explainedVariance=0.99)` keeps the fewest that hold 99 %.

# COMMAND ----------

import matplotlib.pyplot as plt
import numpy as np

held = np.cumsum(whitening.eigenvalues) / whitening.total_variance
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.plot(np.arange(1, len(held) + 1), held)
axes.set(xlabel="components, the largest variance first", ylabel="share of the variance")
axes.set_ylim(0, 1.02)
axes.grid(alpha=0.3)
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Features, before and after
# MAGIC
# MAGIC Correlations of the first 40 features with each other, over some videos of Train.
# MAGIC
# MAGIC **Look for** structure. On the left features rise and fall together, so that a gradient step along one moves others. On the
# MAGIC right there is none left: each direction can be learned at its own pace, which is why AdaGrad gets by with one rate.

# COMMAND ----------

for split, table in (("train", train), ("test", test)):
    fitted.transform(table).write.mode("overwrite").parquet(f"{work}/features/{split}")
features = read_table(spark, f"{work}/features/train")

sample = 1_000  # videos
before = np.array(train.select(columns[0]).limit(sample).toPandas()[columns[0]].tolist())
after = np.array(features.select("features").limit(sample).toPandas()["features"].tolist())

# COMMAND ----------

figure, panels = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
for axes, values, name in zip(panels, (before, after), (columns[0], "whitened"), strict=True):
    correlations = np.corrcoef(values[:, :40].T)
    shown = axes.imshow(correlations, cmap="RdBu", vmin=-1, vmax=1)
    axes.set(title=name, xlabel="feature", ylabel="feature")
figure.colorbar(shown, ax=panels, shrink=0.8, label="correlation")
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## What to change
# MAGIC
# MAGIC - `statistics` to `mean,std,top5`, the paper's best row of Table 3. Then run **03** again.
# MAGIC - `ridge` to 0, or to 1: see in **03** what it does to mAP.
# MAGIC - `PCAWhitening(method="zca")` keeps features in their places; `method="none"` subtracts the mean only.
# MAGIC
# MAGIC Next: **03**, classifiers.
