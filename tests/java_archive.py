"""Java's archive of loaded classes (CDS): the sessions of tests start in half the time with it.

Reading 15,000 classes out of Spark's jars and checking them takes a JVM three seconds, and tests
start hundreds of JVMs. An archive is made once for a Java and a Spark and kept in pytest's cache.
Where it cannot be made or does not fit, Java does without.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyspark

# The quick compiler alone: tests run a plan a few times, and are done a fifth sooner.
_QUICK = "-XX:TieredStopAtLevel=1"
# Java would tell of an archive that does not fit in the output of the job under test.
_SILENT = "-Xlog:cds=off -Xlog:cds+dynamic=off -Xlog:class+path=off"
_SECONDS = 180

# What most tests need of Spark, with a server of Spark Connect in the same Java.
_WORK = """
import sys
from pyspark.sql import SparkSession, functions as F

def same(batches):
    yield from batches

folder = sys.argv[1]
spark = SparkSession.builder.remote("local[2]").config("spark.ui.enabled", "false").getOrCreate()
table = spark.range(20).withColumn("key", F.col("id") % 3).mapInArrow(same, "id long, key long")
table.write.mode("overwrite").partitionBy("key").parquet(folder + "/parquet")
read = spark.read.parquet(folder + "/parquet")
read.repartition(2).groupBy("key").agg(F.sum("id"), F.collect_list("id")).toArrow()
read.join(read.withColumnRenamed("id", "other"), "key").orderBy("other").limit(5).collect()
read.select("id").write.mode("overwrite").csv(folder + "/csv", header=True)
spark.read.csv(folder + "/csv", header=True, schema="id long").count()
spark.stop()
"""


def java_options(folder):
    """Options for every JVM of the tests, as one text; the archive is made in ``folder``."""
    archive = Path(folder) / f"{_identity()}.jsa"
    if not archive.exists():
        _make(archive)
    return f"{_QUICK} -XX:SharedArchiveFile={archive} {_SILENT}" if archive.exists() else _QUICK


def _identity():
    """Of the Java, and of Spark's jars where they lie: an archive is good for these alone."""
    java = Path(os.environ.get("JAVA_HOME", "")) / "bin" / "java"
    command = str(java) if "JAVA_HOME" in os.environ else "java"
    told = subprocess.run([command, "-version"], capture_output=True, text=True, check=False)
    text = f"{told.stderr} {pyspark.__version__} {pyspark.__file__}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _make(archive):
    unfinished = archive.with_suffix(f".{os.getpid()}")
    options = {"SPARK_SUBMIT_OPTS": f"{_QUICK} -XX:ArchiveClassesAtExit={unfinished} {_SILENT}"}
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _WORK, scratch],
            env={**os.environ, **options, **python},
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    if unfinished.exists():
        unfinished.rename(archive)
