"""Codebooks of the feature lists of a frames table, from frames to a folder (paper §4.1.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from yt8m_spark.core.frame_codebook import CodebookMethod, CodebookOptions
from yt8m_spark.frame_codebook_files import save_codebooks
from yt8m_spark.frame_codebook_fit import MAX_ITERATIONS, Fitted, fit_codebooks
from yt8m_spark.frame_codebook_plot import SHARES, draw_shares
from yt8m_spark.progress import Heartbeat, step, watch
from yt8m_spark.spark.frame_codebook import count_frames, sample_codes

__all__ = ["make_codebooks"]


def make_codebooks(
    frames: DataFrame,
    features: Mapping[str, int],
    methods: Sequence[CodebookMethod],
    folder: str,
    *,
    options: CodebookOptions,
    heartbeats: str,
    n_videos: int | None = None,
) -> dict[str, float]:
    """Sample ``frames``, fit a codebook of each method for each list, and write them to ``folder``.

    Parameters
    ----------
    frames : DataFrame
        A frames table.
    features : mapping of str to int
        Feature lists and their widths D.
    methods : sequence of "kmeans", "gmm"
    folder : str
        For `frame_codebook_files.load_codebooks`; with a plot of how frames spread over centres.
    options : CodebookOptions
    heartbeats : str
        Folder for progress, which all tasks must see.
    n_videos : int, optional
        About how many videos there are, for the time left.

    Returns
    -------
    dict of str to float
        Figures of the fits, ``<method>.<feature list>.<figure>``.

    Raises
    ------
    InputError
        If a list has no frames, or fewer distinct ones than centres.
    """
    options.check()
    with step("count frames"):
        counts = count_frames(frames, features)
    with watch(heartbeats, n_videos, "sample frames") as counted:
        samples = sample_codes(
            frames,
            features,
            counts,
            n_sampled=options.n_sampled,
            seed=options.seed,
            heartbeats=counted,
        )
    found = _fit(samples, methods, options, heartbeats)
    _save(folder, found, options)
    return {
        f"{method}.{name}.{figure}": value
        for method, of_lists in found.items()
        for name, fitted in of_lists.items()
        for figure, value in fitted.facts.items()
    }


def _fit(
    samples: Mapping[str, NDArray[np.uint8]],
    methods: Sequence[CodebookMethod],
    options: CodebookOptions,
    heartbeats: str,
) -> dict[str, dict[str, Fitted]]:
    """Of each method the codebook of each feature list."""
    found: dict[str, dict[str, Fitted]] = {method: {} for method in methods}
    fits = len(samples) * (2 if "gmm" in methods else 1)
    with watch(heartbeats, fits * MAX_ITERATIONS, "fit codebooks", " iterations") as counted:
        heartbeat = Heartbeat(counted, "fit")
        for place, (name, codes) in enumerate(samples.items(), start=1):
            for method, fitted in fit_codebooks(codes, methods, options, heartbeat.advance).items():
                found[method][name] = fitted
            # Fits that converged early: their iterations are done as well.
            heartbeat.catch_up(place * fits * MAX_ITERATIONS // len(samples))
        heartbeat.flush()
    return found


def _save(folder: str, found: Mapping[str, Mapping[str, Fitted]], options: CodebookOptions) -> None:
    codebooks = {
        method: {name: fitted.codebook for name, fitted in of_lists.items()}
        for method, of_lists in found.items()
    }
    facts = {
        method: {name: fitted.facts for name, fitted in of_lists.items()}
        for method, of_lists in found.items()
    }
    save_codebooks(folder, codebooks, {"options": options._asdict(), "figures": facts})
    shares = {
        f"{method}, {name}": fitted.shares
        for method, of_lists in found.items()
        for name, fitted in of_lists.items()
    }
    draw_shares(shares, str(Path(folder) / SHARES))
