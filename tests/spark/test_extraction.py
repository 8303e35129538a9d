"""Videos on storage that is not mounted. Whole extractions are tested in tests/jobs."""

import numpy as np
import pytest
from made_videos import colour_weights, write_onnx, write_seconds

from yt8m_spark.spark.extraction import open_video
from yt8m_spark.spark.video_files import find_videos
from yt8m_spark.video.decode import Sampling
from yt8m_spark.video.extraction import Extractor, VideoFile
from yt8m_spark.video.images import PRESETS
from yt8m_spark.video.networks import load_network


@pytest.mark.parametrize(
    ("path", "opened"),
    [
        ("FILE:/x/a.mp4", "/x/a.mp4"),
        ("file:///x/a.mp4", "/x/a.mp4"),
        ("dbfs:/mnt/a.mp4", "/dbfs/mnt/a.mp4"),
        ("/x/file:a.mp4", "/x/file:a.mp4"),
    ],
)
def test_local_videos_lose_their_scheme(path, opened):
    assert open_video(path) == opened


def test_videos_on_remote_storage_are_found_and_read(spark, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    local = write_seconds(tmp_path / "a.mp4", 3)
    remote = fsspec.filesystem("memory")
    remote.pipe("/videos/deeper/a.mp4", local.read_bytes())
    remote.pipe("/videos/notes.txt", b"no video")
    try:
        rows = find_videos(spark, "memory://videos", str(tmp_path)).collect()
        network = load_network(
            str(write_onnx(tmp_path / "n.onnx", colour_weights())), None, None, 1
        )
        extractor = Extractor(network, PRESETS["none"], Sampling(), 2)
        videos = [VideoFile(row.video_id, row.path, []) for row in rows]
        (found,) = extractor.extract(videos, open_video)
    finally:
        remote.rm("/videos", recursive=True)
    (wanted,) = extractor.extract([VideoFile("a", f"file:{local}", [])], open_video)
    assert (found.video.video_id, found.reason) == ("a", None)
    np.testing.assert_array_equal(found.activations, wanted.activations)
