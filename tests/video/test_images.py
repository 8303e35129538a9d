"""What a network gets of a frame, against NumPy. FFmpeg's scaler itself is not tested."""

import av
import numpy as np
import pytest
from made_videos import turn_clockwise

from yt8m_spark.video.decode import BrokenVideoError, Sampling, sample_frames
from yt8m_spark.video.images import PRESETS, fill_input, image_of

RNG = np.random.default_rng(0)


def frame_of(pixels):
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels, dtype=np.uint8), format="rgb24")


def halves(height, width):
    """Left half black, right half white."""
    pixels = np.zeros((height, width, 3))
    pixels[:, width // 2 :] = 255
    return pixels


def test_a_frame_of_the_right_size_is_taken_as_it_is():
    pixels = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for resize in ("exact", "shorter", "none"):
        how = PRESETS["none"]._replace(resize=resize)
        np.testing.assert_array_equal(image_of(frame_of(pixels), (8, 8), how), pixels)


def test_exact_squeezes_a_wide_frame_and_shorter_cuts_its_sides():
    pixels = halves(40, 80)
    pixels[:, :20], pixels[:, 60:] = 128, 128  # the sides, which the crop loses
    squeezed = image_of(frame_of(pixels), (20, 20), PRESETS["none"])[10, :, 0]
    assert abs(int(squeezed[1]) - 128) < 3
    assert abs(int(squeezed[18]) - 128) < 3
    cut = image_of(frame_of(pixels), (20, 20), PRESETS["none"]._replace(resize="shorter"))
    assert cut.shape == (20, 20, 3)
    assert cut[10, 2, 0] < 3
    assert cut[10, 17, 0] > 252


def test_a_centre_crop_takes_its_share_of_the_shorter_side():
    pixels = np.zeros((80, 100, 3))
    pixels[20:60, 30:70] = 200  # the middle half of the shorter side
    how = PRESETS["none"]._replace(resize="shorter", crop=0.5)
    image = image_of(frame_of(pixels), (40, 40), how)
    np.testing.assert_allclose(image, 200, atol=2)


@pytest.mark.parametrize("shape", [(37, 51), (51, 37), (1, 9), (400, 30)])
@pytest.mark.parametrize("resize", ["exact", "shorter"])
def test_frames_of_any_shape_get_the_size(shape, resize):
    how = PRESETS["none"]._replace(resize=resize, crop=0.9)
    image = image_of(frame_of(np.full((*shape, 3), 77)), (16, 24), how)
    assert image.shape == (16, 24, 3)
    np.testing.assert_allclose(image, 77, atol=1)


def test_frames_that_may_not_be_resized_must_have_the_size():
    with pytest.raises(BrokenVideoError, match="frames are 12 x 8, not 8 x 8"):
        image_of(frame_of(np.zeros((8, 12, 3))), (8, 8), PRESETS["none"]._replace(resize="none"))


def test_a_frame_that_cannot_be_scaled_breaks_its_video():
    thread = frame_of(np.zeros((1, 20_000, 3)))
    with pytest.raises(BrokenVideoError, match="cannot be scaled from 20000 x 1"):
        image_of(thread, (299, 299), PRESETS["none"]._replace(resize="shorter"))


def test_a_turned_video_is_seen_upright(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        container.mux(stream.encode(frame_of(halves(32, 64))))
        container.mux(stream.encode(None))
    turn_clockwise(path)
    (frame,) = sample_frames(str(path), Sampling())
    upright = image_of(frame, (64, 32), PRESETS["none"]._replace(resize="none"))
    # Turned clockwise, what was on the left is on top.
    np.testing.assert_allclose(upright[:28], 0, atol=12)
    np.testing.assert_allclose(upright[36:], 255, atol=12)


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_numbers_are_scaled_centred_and_divided_channel_by_channel(preset, dtype):
    image = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    how = PRESETS[preset]
    wanted = (image * how.scale - np.array(how.mean)) / np.array(how.std)
    tolerance = 1e-6 if dtype == "float32" else 2e-3
    first = np.empty((3, 5, 7), dtype)
    fill_input(first, image, how, channels_first=True)
    np.testing.assert_allclose(first, wanted.transpose(2, 0, 1), rtol=tolerance, atol=tolerance)
    last = np.empty((5, 7, 3), dtype)
    fill_input(last, image, how, channels_first=False)
    np.testing.assert_allclose(last, wanted, rtol=tolerance, atol=tolerance)


def test_means_are_in_the_order_of_the_networks_channels():
    image = np.array([[[1, 2, 3]]], np.uint8)
    row = np.empty((3, 1, 1), np.float32)
    how = PRESETS["none"]._replace(colour="bgr", mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0))
    fill_input(row, image, how, channels_first=True)
    np.testing.assert_allclose(row.ravel(), [3 - 10, (2 - 20) / 2, (1 - 30) / 4])


def test_whole_numbers_are_rounded_and_kept_in_range():
    image = np.array([[[0, 100, 255]]], np.uint8)
    row = np.empty((3, 1, 1), np.uint8)
    how = PRESETS["none"]._replace(scale=1.5, mean=(10.0, 0.4, 0.0))
    fill_input(row, image, how, channels_first=True)
    assert row.ravel().tolist() == [0, 150, 255]
