"""How near do VLAD and Fisher vectors come to the matrix product that they need?

On one thread: encodings of 8-bit frames by 64 centres (`core.vlad`, `core.fisher`), beside the bare
float32 products that assign frames to centres: N x K x D of VLAD, N x K x 2D of Fisher vectors, of
long videos of 1,024 features and clips of ten frames of 128, frames drawn from the mixture. Prints
the share of the time that the bare product takes; 1 would be the limit. CPU time, so that other
programs on the machine do not count.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

from collections.abc import Callable

import numpy as np
from how_near_is_relu_space_to_a_bare_matrix_product import best_of
from numpy.typing import NDArray

from yt8m_spark.core.fisher import encode_fisher
from yt8m_spark.core.frame_codebook import FrameCodebook
from yt8m_spark.core.quantization import LEVELS, quantize
from yt8m_spark.core.vlad import encode_vlad

K = 64
CASES = {  # videos, frames of each, features
    "100 videos of 240 frames": (100, 240, 1024),
    "2,000 clips of 10 frames": (2000, 10, 128),
}


def main() -> None:
    """Measure and print."""
    for title, (n_videos, n_frames, d) in CASES.items():
        rng = np.random.default_rng(0)
        kmeans, gmm = make_codebooks(rng, d)
        codes = make_codes(rng, gmm, n_videos * n_frames)
        offsets = np.arange(n_videos + 1) * n_frames
        values = LEVELS[codes]
        both = np.concatenate([values, values], axis=1)
        contenders: dict[str, Callable[[], object]] = {
            "N x K x D": lambda v=values, c=kmeans.centres: v @ c.T,
            "vlad": lambda c=codes, o=offsets, b=kmeans: encode_vlad(c, o, b),
            "N x K x 2D": lambda v=both, c=gmm.centres: v @ np.concatenate([c, c], axis=1).T,
            "fisher": lambda c=codes, o=offsets, b=gmm: encode_fisher(c, o, b),
        }
        seconds = best_of(contenders)
        print(f"{title}, {d} features, {K} centres: {len(codes)} frames")
        for bare, encoding in (("N x K x D", "vlad"), ("N x K x 2D", "fisher")):
            each = seconds[encoding] / n_videos * 1e3
            share = seconds[bare] / seconds[encoding]
            print(f"  {encoding:7} {each:6.2f} ms a video, {share:4.0%} of it the bare {bare}")


def make_codebooks(rng: np.random.Generator, d: int) -> tuple[FrameCodebook, FrameCodebook]:
    """Centres as far apart as those of whitened frames, and Gaussians around them."""
    centres = rng.normal(scale=0.5, size=(K, d)).astype(np.float32)
    variances = rng.uniform(0.3, 0.9, size=(K, d)).astype(np.float32)
    return FrameCodebook(centres), FrameCodebook(centres, variances, np.full(K, 1 / K))


def make_codes(rng: np.random.Generator, gmm: FrameCodebook, n: int) -> NDArray[np.uint8]:
    """``n`` frames of the mixture."""
    drawn = rng.integers(0, K, n)
    assert gmm.variances is not None
    noise = rng.normal(size=(n, gmm.n_features))
    return quantize(gmm.centres[drawn] + np.sqrt(gmm.variances[drawn]) * noise)


if __name__ == "__main__":
    main()
