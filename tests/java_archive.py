"""Java's archive of loaded classes (CDS): the sessions of tests start in half the time with it.

Reading 15,000 classes out of Spark's jars and checking them takes a JVM three seconds, and tests
start hundreds of JVMs. An archive is made once for a Java and a Spark and kept in pytest's cache.
Where it cannot be made or does not fit, Java does without.
"""

import hashlib
import os
import re
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
    """Options for every JVM of the tests, as one text; the archive is kept in ``folder()``."""
    try:
        archive = Path(folder()) / f"{_identity()}.jsa"
        if re.search(r"\s", str(archive)):
            return _QUICK  # Java would cut the option at the blank, and write to what is left
        # A Java that has no archive of its own can add nothing to it: one trial is enough.
        tried = archive.with_suffix(".tried")
        if not (archive.exists() or tried.exists()):
            _make(archive)
            tried.touch()
    except (AttributeError, OSError, subprocess.SubprocessError):
        return _QUICK  # no cache to keep it in, no Java on the path, or one that is too slow
    return f"{_QUICK} {_using(archive)}" if archive.exists() else _QUICK


def _using(archive):
    return f"-XX:SharedArchiveFile={archive} {_SILENT}"


def _java():
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def _identity():
    """Of the Java, and of Spark's jars where they lie: an archive is good for these alone."""
    told = subprocess.run([_java(), "-version"], capture_output=True, text=True, check=True)
    text = f"{told.stderr} {pyspark.__version__} {pyspark.__file__}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _make(archive):
    unfinished = archive.with_suffix(f".{os.getpid()}")
    options = {"SPARK_SUBMIT_OPTS": f"{_QUICK} -XX:ArchiveClassesAtExit={unfinished} {_SILENT}"}
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    try:
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", _WORK, scratch],
                env={**os.environ, **options, **python},
                capture_output=True,
                timeout=_SECONDS,
                check=True,
            )
        # One that was cut short would kill every Java.
        trial = [_java(), *_using(unfinished).split(), "-version"]
        subprocess.run(trial, capture_output=True, timeout=_SECONDS, check=True)
        unfinished.rename(archive)
    finally:
        unfinished.unlink(missing_ok=True)
