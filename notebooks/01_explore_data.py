# Databricks notebook source
# MAGIC %md
# MAGIC # 01 · Explore the data
# MAGIC
# MAGIC A look at a data set before anything is trained on it: a video as the models see it, how often each entity
# MAGIC comes, and a profile that tells of duplicates, leakage and odd rows (paper §3).
# MAGIC
# MAGIC **Needs** shards of YouTube-8M, or those of `make_synthetic`, in the folder `data`: `frame/train*.tfrecord` and so
# MAGIC on, `vocabulary.csv`. **Leaves** `facts` in the folder `work`.
# MAGIC
# MAGIC Run it from the top; change the widgets and run it again.

# COMMAND ----------

# MAGIC %pip install --quiet --no-deps /Volumes/main/yt8m/data/yt8m_spark-0.1.0-py3-none-any.whl
# MAGIC %pip install --quiet 'mlflow>=3,<4' google-crc32c tqdm threadpoolctl
# MAGIC %restart_python

# COMMAND ----------

dbutils.widgets.text("data", "/Volumes/main/yt8m/data", "Folder of the shards")
dbutils.widgets.text("work", "/Volumes/main/yt8m/data/notebooks", "Folder for what is made")
dbutils.widgets.dropdown("level", "frame", ["frame", "video"], "Level of the shards")

data, work = dbutils.widgets.get("data"), dbutils.widgets.get("work")
level = dbutils.widgets.get("level")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Shards are a table
# MAGIC
# MAGIC `read_shards` reads TFRecords with a data source of its own: nothing is converted first, and Spark reads in each task
# MAGIC only the shards that the task is to read. One row is a video. `rgb` and `audio` hold a byte for each feature of
# MAGIC each second (§3.3); at video level there are `mean_rgb` and `mean_audio` instead.
# MAGIC
# MAGIC **Look at** `labels`: numbers of the entities that the video is about, none in the released Test split.

# COMMAND ----------

from yt8m_spark.spark.source import read_shards

train = read_shards(spark, f"{data}/{level}/train*.tfrecord", level=level)
display(train.limit(5))

# COMMAND ----------

# MAGIC %md
# MAGIC ## One video, second by second
# MAGIC
# MAGIC What a network of frames sees. Each column is a second, each row a feature; the bytes are turned back into numbers
# MAGIC by the rule of the release.
# MAGIC
# MAGIC **Look for** vertical edges: a cut to another scene. A video that is one colour from left to right says no more in its
# MAGIC frames than in their mean, and there are many of these.

# COMMAND ----------

import matplotlib.pyplot as plt
import numpy as np

from yt8m_spark.core.quantization import dequantize
from yt8m_spark.spark.schemas import frame_features

lists = frame_features(train.schema)  # none at video level
if lists:
    video = train.orderBy("video_id").first()
    codes = np.frombuffer(video[lists[0]], np.uint8).reshape(video["n_frames"], -1)
    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    shown = axes.imshow(dequantize(codes[:, :64]).T, aspect="auto", cmap="RdBu", vmin=-2, vmax=2)
    axes.set(xlabel="second", ylabel=f"{lists[0]}, first 64", title=f"video {video['video_id']}")
    figure.colorbar(shown, label="value")
    plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## How often each entity comes
# MAGIC
# MAGIC **Look at** the slope: on logarithmic axes the counts fall on a line, as Zipf's law has it (the paper's Fig. 4). The
# MAGIC tail has few videos to learn from. mAP gives every entity the same weight, Hit@1 and GAP are made by the head.

# COMMAND ----------

from pyspark.sql import functions as F

from yt8m_spark.formats.vocabulary_details import read_vocabulary_details

vocabulary = read_vocabulary_details(f"{data}/vocabulary.csv")
each = train.select(F.explode("labels").alias("entity"))
counts = each.groupBy("entity").count().orderBy(F.desc("count"), "entity").toPandas()
counts.insert(1, "name", counts["entity"].map(vocabulary.names))
display(counts)

# COMMAND ----------

figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
axes.loglog(np.arange(1, len(counts) + 1), counts["count"], marker="o", ms=3)
axes.set(xlabel="rank of the entity", ylabel="videos of Train")
axes.grid(alpha=0.3)
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## The profile
# MAGIC
# MAGIC One pass over all splits notes a few facts of each video: its labels, its length, hashes of its features. All that
# MAGIC follows is counted from these. The same as a job: `yt8m-spark profile_dataset`.
# MAGIC
# MAGIC **Look at** the warnings first: a video that is in Train and in Test makes every figure of a model too good.

# COMMAND ----------

from yt8m_spark.spark.profile import profile_videos
from yt8m_spark.spark.splits import Source
from yt8m_spark.spark.tables import read_table
from yt8m_spark.spark.video_facts import read_facts

facts = read_facts(spark, [Source(f"{data}/{level}/*.tfrecord")])
facts.write.mode("overwrite").parquet(f"{work}/facts")
profile = profile_videos(read_table(spark, f"{work}/facts"), vocabulary)

# COMMAND ----------

import tempfile

from yt8m_spark.profile_page import profile_page
from yt8m_spark.profile_plots import save_plots

with tempfile.TemporaryDirectory() as folder:
    pictures = save_plots(profile, folder)
    displayHTML(profile_page(profile, pictures, {"input": f"{data}/{level}"}))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What to change
# MAGIC
# MAGIC - `level` to `video`: the same on the released means, which are 500 times smaller.
# MAGIC - Leave a split out of the pattern in the profile's cell, or give two `Source`s with the split said.
# MAGIC - `facts` is a table: `read_table(spark, f"{work}/facts")` and your own questions.
# MAGIC
# MAGIC Next: **02**, from frames to features.
