# Databricks notebook source
# MAGIC %md
# MAGIC # 05 · What a model gets wrong
# MAGIC
# MAGIC Figures say how good a model is; this says where it fails: entities, pairs that are confused, scores that promise too
# MAGIC much, single videos. At the end a page to look around in.
# MAGIC
# MAGIC **Needs** what **02** and **03** made. **Leaves** `predictions/NAME` and `explorer/NAME` in `work`.

# COMMAND ----------

# MAGIC %pip install --quiet --no-deps /Volumes/main/yt8m/data/yt8m_spark-0.1.0-py3-none-any.whl
# MAGIC %pip install --quiet 'mlflow>=3,<4' google-crc32c tqdm threadpoolctl
# MAGIC %restart_python

# COMMAND ----------

dbutils.widgets.text("data", "/Volumes/main/yt8m/data", "Folder of vocabulary.csv")
dbutils.widgets.text("work", "/Volumes/main/yt8m/data/notebooks", "Folder for what is made")
dbutils.widgets.dropdown("model", "moe", ["hinge", "logistic", "moe"], "Model of 03")

data, work = dbutils.widgets.get("data"), dbutils.widgets.get("work")
name = dbutils.widgets.get("model")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The entities with the lowest average precision
# MAGIC
# MAGIC **Look at** `n_positives` beside it: of an entity with three videos a low figure says little. Then at names: some are
# MAGIC things that one cannot see, which is why §3.1 asks three people of each.

# COMMAND ----------

import pyarrow.parquet as pq

evaluation = f"{work}/evaluation/{name}"
per_entity = pq.read_table(f"{evaluation}/per_entity.parquet")
columns = ["entity", "name", "band", "n_positives", "average_precision", "best_f1"]
worst = per_entity.to_pandas().sort_values("average_precision")[columns]
display(worst.head(15).reset_index(drop=True))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What is taken for what
# MAGIC
# MAGIC Of the videos of an entity, the share for which another one was scored higher though it is no label of theirs.
# MAGIC
# MAGIC **Look for** pairs that are near in meaning. Such a share need not be an error: labels of YouTube-8M are
# MAGIC machine-made, and of those that hold only 14.5 % are given (§3.4).

# COMMAND ----------

from yt8m_spark.formats.vocabulary_details import read_vocabulary_details

vocabulary = read_vocabulary_details(f"{data}/vocabulary.csv")
confusions = pq.read_table(f"{evaluation}/confusions.parquet").to_pandas()
for column in ("entity", "confused_with"):
    confusions[column] = confusions[column].map(vocabulary.names)
display(confusions.sort_values("n_videos", ascending=False).head(15).reset_index(drop=True))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Precision against recall
# MAGIC
# MAGIC Four entities of each band of frequency, from the worst quarter of it to the best. **Look at** the left end: a curve that
# MAGIC begins low has wrong videos at its very top.

# COMMAND ----------

from yt8m_spark.evaluation_plots import draw_pr_curves

display(draw_pr_curves(per_entity, pq.read_table(f"{evaluation}/curves.parquet")))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Do scores mean what they say?
# MAGIC
# MAGIC **Look at** the dashed diagonal: points below it are promises not kept. GAP sorts the scores of all entities in one list,
# MAGIC so it suffers; mAP, which sorts within an entity, does not. `yt8m-spark fit_calibration` mends it.

# COMMAND ----------

from yt8m_spark.calibration_plot import draw_calibration

display(draw_calibration(pq.read_table(f"{evaluation}/reliability.parquet")))

# COMMAND ----------

# MAGIC %md
# MAGIC ## The videos with the surest mistakes
# MAGIC
# MAGIC The best prediction of each video, where it is none of its labels. **Look at** a few of them before you blame the model:
# MAGIC often the label is what is wrong.

# COMMAND ----------

from pyspark.sql import functions as F

from yt8m_spark.spark.scoring import predict
from yt8m_spark.spark.tables import read_table

model = f"{work}/models/{name}/fitted"
test = read_table(spark, f"{work}/features/test")
predict(test, model, 20).write.mode("overwrite").parquet(f"{work}/predictions/{name}")
predictions = read_table(spark, f"{work}/predictions/{name}")
best = predictions.withColumns({"best": F.col("entities")[0], "score": F.col("scores")[0]})
wrong = best.where(~F.array_contains("labels", F.col("best"))).orderBy(F.desc("score"))
display(wrong.select("video_id", "labels", "best", "score").limit(15))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Look around
# MAGIC
# MAGIC One page with all entities, their figures, neighbours and videos. It is a file: copy it, mail it, put it on a server.
# MAGIC
# MAGIC **Try** the search; then an entity of the table above, and its *wrong* and *missed* videos.

# COMMAND ----------

from yt8m_spark.explorer.data import Explored
from yt8m_spark.explorer.evaluation import read_evaluation
from yt8m_spark.explorer.nearest import nearest_entities
from yt8m_spark.explorer.page import write_explorer
from yt8m_spark.explorer.vocabulary import read_entity_texts
from yt8m_spark.scorer import load_scorer
from yt8m_spark.spark.explorer import choose_videos, shown_predictions

source = f"{work}/predictions/{name}"
shown, n_videos = shown_predictions(predictions, 20, vocabulary.entities, source)
explored = Explored(
    title=f"Test, {name}",
    sources={"predictions": source, "model": model, "evaluation": evaluation},
    vocabulary=vocabulary,
    texts=read_entity_texts(f"{data}/vocabulary.csv"),
    shown=choose_videos(shown, n_videos, max_videos=2_000),
    nearest=nearest_entities(load_scorer(model), 12),
    nearest_by="weights",
    top_k=20,
    evaluation=read_evaluation(evaluation),
)
page = write_explorer(f"{work}/explorer/{name}", explored)[0]
print(page)

# COMMAND ----------

from pathlib import Path

html = Path(page).read_text(encoding="utf-8")
limit = 8_000_000  # bytes; a cell of a notebook shows no more than some megabytes
displayHTML(html if len(html) < limit else f"The page is too large for a cell: open {page}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## What to change
# MAGIC
# MAGIC - `model`: the same of another family; two explorers side by side show who errs where.
# MAGIC - `max_videos`: a larger sample, a larger page.
