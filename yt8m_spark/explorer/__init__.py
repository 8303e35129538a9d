"""The explorer (paper, Fig. 1): entities and videos on a page; `jobs/build_explorer.py`."""
