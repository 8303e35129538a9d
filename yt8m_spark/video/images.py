"""From a decoded frame to what an image network takes: size, crop, channels, scale.

Axes: B images of a batch, H height, W width, C the three colours.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from yt8m_spark.video.decode import BrokenVideoError, reason_of

__all__ = ["PRESETS", "Preprocessing", "fill_input", "image_of"]

Image = NDArray[np.uint8]  # (H, W, 3), red first
Triple = tuple[float, float, float]


class Preprocessing(NamedTuple):
    """How a frame becomes numbers: each is ``(pixel * scale - mean) / std`` of its channel.

    Attributes
    ----------
    size : int
        Height and width that the network sees, where it does not tell.
    resize : str
        "exact": to that height and width, whatever the shape of the frame; "shorter": so that a
        centre crop of that size takes the share ``crop`` of the shorter side; "none": frames must
        have the size.
    crop : float
        In (0, 1].
    interpolation : str
        "bilinear", "bicubic" or "area", of FFmpeg's scaler, which takes all pixels into account
        when it makes a frame smaller.
    scale : float
    mean, std : 3 floats
        In the order of the network's channels.
    colour : str
        "rgb" or "bgr".
    """

    size: int
    resize: str
    crop: float
    interpolation: str
    scale: float
    mean: Triple
    std: Triple
    colour: str = "rgb"


_WHOLE = (0.0, 0.0, 0.0)
_ONE = (1.0, 1.0, 1.0)
PRESETS = {
    # What the graph of inception-2015 does, with which YouTube-8M was made.
    "inception": Preprocessing(299, "exact", 1.0, "bilinear", 1.0, (128.0,) * 3, (128.0,) * 3),
    # torchvision's, on which most ResNets of today were trained.
    "imagenet": Preprocessing(
        224, "shorter", 0.875, "bilinear", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ),
    "clip": Preprocessing(
        224,
        "shorter",
        1.0,
        "bicubic",
        1 / 255,
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
    "none": Preprocessing(224, "exact", 1.0, "bilinear", 1.0, _WHOLE, _ONE),
}


def image_of(frame: VideoFrame, size: tuple[int, int], how: Preprocessing) -> Image:
    """Image (H, W, 3) of a frame, as people see it: a turned video is turned upright.

    Raises
    ------
    BrokenVideoError
        If ``how`` does not resize and the frame has another size, or FFmpeg cannot scale it: one
        of 1 x 20000 pixels, say.
    """
    turns = round(frame.rotation / 90) % 4
    upright = (frame.width, frame.height) if turns % 2 else (frame.height, frame.width)
    target = _resized(upright, size, how)
    height, width = target[::-1] if turns % 2 else target
    try:
        scaled = frame.reformat(
            width=width, height=height, format="rgb24", interpolation=how.interpolation.upper()
        )
    except FFmpegError as error:
        shape = f"{frame.width} x {frame.height} to {width} x {height}"
        raise BrokenVideoError(f"cannot be scaled from {shape} ({reason_of(error)})") from error
    image = np.rot90(np.asarray(scaled.to_ndarray(), np.uint8), turns)
    top, left = ((have - want) // 2 for have, want in zip(target, size, strict=True))
    return image[top : top + size[0], left : left + size[1]]


def _resized(shape: tuple[int, int], size: tuple[int, int], how: Preprocessing) -> tuple[int, int]:
    """Height and width to scale a frame of ``shape`` to, before the crop."""
    if how.resize == "exact":
        return size
    if how.resize == "none":
        if shape != size:
            found, wanted = (f"{width} x {height}" for height, width in (shape, size))
            raise BrokenVideoError(f"frames are {found}, not {wanted}")
        return size
    factor = max(size[0] / shape[0], size[1] / shape[1]) / how.crop
    return max(size[0], round(shape[0] * factor)), max(size[1], round(shape[1] * factor))


def fill_input(
    row: NDArray[Any], image: Image, how: Preprocessing, *, channels_first: bool
) -> None:
    """Write an image into its place in the network's input: ``row`` (C, H, W) or (H, W, C).

    Whole numbers are rounded and kept in their range.
    """
    order = (0, 1, 2) if how.colour == "rgb" else (2, 1, 0)
    for place, channel in enumerate(order):
        target = row[place] if channels_first else row[..., place]
        factor = how.scale / how.std[place]
        offset = how.mean[place] / how.std[place]
        levels = np.arange(256) * factor - offset  # float64: rounded once
        if np.issubdtype(row.dtype, np.integer):
            limits = np.iinfo(row.dtype)
            levels = np.rint(levels).clip(limits.min, limits.max)
        target[...] = levels.astype(row.dtype)[image[..., channel]]
