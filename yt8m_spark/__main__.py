"""``python -m yt8m_spark``: the command `yt8m-spark`."""

from yt8m_spark.console import main

if __name__ == "__main__":
    main()
