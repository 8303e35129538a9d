"""Large-scale multi-label video tagging on Apache Spark, after YouTube-8M (arXiv 1609.08675)."""

__version__ = "0.1.0"
