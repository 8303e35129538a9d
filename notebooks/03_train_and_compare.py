# Databricks notebook source
# MAGIC %md
# MAGIC # 03 · Train and compare entity classifiers
# MAGIC
# MAGIC One classifier for each entity, trained in parallel (paper §4.3): logistic regression (§4.3.1), hinge loss (§4.3.2) and
# MAGIC a mixture of experts (§4.3.3), then all of them by the metrics of §5.1, like the paper's Table 3.
# MAGIC
# MAGIC **Needs** the `features` that **02** made. **Leaves** `models/NAME` and `evaluation/NAME` in `work`, and a run of each in
# MAGIC MLflow.

# COMMAND ----------

# MAGIC %pip install --quiet --no-deps /Volumes/main/yt8m/data/yt8m_spark-0.1.0-py3-none-any.whl
# MAGIC %pip install --quiet 'mlflow>=3,<4' google-crc32c tqdm threadpoolctl
# MAGIC %restart_python

# COMMAND ----------

dbutils.widgets.text("data", "/Volumes/main/yt8m/data", "Folder of vocabulary.csv")
dbutils.widgets.text("work", "/Volumes/main/yt8m/data/notebooks", "Folder for what is made")
dbutils.widgets.multiselect("families", "hinge,logistic,moe", ["hinge", "logistic", "moe"])
dbutils.widgets.text("epochs", "5", "Passes over the videos")
dbutils.widgets.text("experiment", "/Shared/yt8m_spark", "MLflow experiment")

data, work = dbutils.widgets.get("data"), dbutils.widgets.get("work")
families, epochs = dbutils.widgets.get("families").split(","), int(dbutils.widgets.get("epochs"))
experiment = dbutils.widgets.get("experiment")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The classifiers
# MAGIC
# MAGIC All three minimise their loss by AdaGrad in mini-batches of 32, learning rate 1. A task of Spark takes a block of entities
# MAGIC over all videos, so that each step is a product of matrices; results do not depend on the blocks.
# MAGIC
# MAGIC `workDir` must be a folder that all tasks see: a volume is one.

# COMMAND ----------

from yt8m_spark.ml import HingeOneVsAll, LogisticOneVsAll, MoEOneVsAll
from yt8m_spark.spark.tables import read_table

train = read_table(spark, f"{work}/features/train")
test = read_table(spark, f"{work}/features/test")
estimators = {
    "hinge": HingeOneVsAll(epochs=epochs, workDir=f"{work}/fitted"),
    "logistic": LogisticOneVsAll(epochs=epochs, workDir=f"{work}/fitted"),
    "moe": MoEOneVsAll(epochs=epochs, nExperts=2, workDir=f"{work}/fitted"),
}

# COMMAND ----------

# MAGIC %md
# MAGIC ## Train, evaluate, log
# MAGIC
# MAGIC `evaluate_model` scores every video for every entity and keeps only counts: metrics are exact, and no table of scores is
# MAGIC written. 200 replicates of a bootstrap over the videos give intervals of 95 %.

# COMMAND ----------

from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.evaluation_report import model_frequencies, save_evaluation
from yt8m_spark.formats.vocabulary_details import read_vocabulary_details
from yt8m_spark.spark.scoring import evaluate_model
from yt8m_spark.tracking import tracked_run

vocabulary = read_vocabulary_details(f"{data}/vocabulary.csv")
options, reports = EvaluationOptions(n_replicates=200), {}
for family in families:
    with tracked_run(family, {"epochs": str(epochs)}, experiment=experiment) as run:
        model = estimators[family].fit(train)
        model.write().overwrite().save(f"{work}/models/{family}")
        evaluation = evaluate_model(test, model.folder(), options=options)
        known = model_frequencies(model.folder())
        folder = f"{work}/evaluation/{family}"
        reports[family] = save_evaluation(folder, evaluation, vocabulary, frequencies=known)
        run.log_metrics(evaluation.metrics)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The comparison
# MAGIC
# MAGIC **Look at** the intervals of the differences, not at the figures alone: where one holds 0, luck would do. Below the table,
# MAGIC by entity: who wins where.

# COMMAND ----------

from yt8m_spark.comparison import compare
from yt8m_spark.comparison.page import comparison_page

if len(families) > 1:
    comparison = compare([f"{family}={work}/evaluation/{family}" for family in families])
    displayHTML(comparison_page(comparison))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Entity by entity
# MAGIC
# MAGIC Average precision against the number of training videos.
# MAGIC
# MAGIC **Look at** the left: with few videos an entity's figure is mostly chance. If mixtures win on the right only, they had too
# MAGIC few examples on the left to tell two looks of an entity apart.

# COMMAND ----------

import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for family, marker in zip(families, "os^", strict=False):
    table = reports[family].per_entity
    counts = reports[family].frequencies.counts[
        reports[family].frequencies.places(table["entity"].to_numpy())
    ]
    axes.plot(counts, table["average_precision"].to_numpy(), marker, ms=4, alpha=0.6, label=family)
axes.set(xscale="log", xlabel="training videos of the entity", ylabel="average precision")
axes.legend(frameon=False)
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## What to change
# MAGIC
# MAGIC - `epochs`: more passes until the loss on Validate no longer falls.
# MAGIC - `LogisticOneVsAll(l2=1e-6)`; `MoEOneVsAll(nExperts=4)`; `pyspark.ml.tuning.CrossValidator` takes these stages.
# MAGIC - For millions of videos and thousands of entities run the jobs of `databricks.yml`: they go on where a cluster that
# MAGIC   went away had stopped.
# MAGIC
# MAGIC Next: **05**, what they get wrong.
